"""CIFAR-10 as pictures in folders → what a base model sees, what is learnt by heart, and what is completed.

python pretraining/split_cifar10.py cifar10 -o cifar10-split

``cifar10`` holds train/CLASS/ and test/CLASS/, as most copies of it do. ``seen`` is the training part without the first
pictures of each class, which become ``fresh/heldout``; ``fresh/train`` is the test part. Files are copied.
"""

import argparse
import shutil
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description="Split CIFAR-10 into seen, fresh/train and fresh/heldout.")
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--heldout", type=int, default=30, help="pictures of each class that are completed")
    asked = parser.parse_args()
    for part in ("train", "test"):
        kinds = sorted(folder for folder in (asked.source / part).iterdir() if folder.is_dir())
        for kind in kinds:
            for place, file in enumerate(sorted(kind.iterdir())):
                fresh = "fresh/train" if part == "test" else "fresh/heldout" if place < asked.heldout else "seen"
                target = asked.output / fresh / kind.name / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)


if __name__ == "__main__":
    main()
