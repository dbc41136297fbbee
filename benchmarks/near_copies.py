"""Processor time of the search for near-copies among many texts.

    python benchmarks/near_copies.py --copies .2 2000 20000

Texts of 300 random words; a share of them is another one with 20 words changed.
"""

import argparse
import random
import string
import time

from hyperfit.data.copies import near_copies


def main() -> None:
    """Print groups and seconds for each number of texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=int, nargs="+", help="how many")
    parser.add_argument("--copies", type=float, default=0.0, help="share of texts that are near-copies")
    settings = parser.parse_args()
    for count in settings.texts:
        texts = some_texts(count, settings.copies)
        started = time.process_time()
        groups = len(set(near_copies(texts)))
        print(f"{count} texts, {groups} groups: {time.process_time() - started:.1f} s", flush=True)


def some_texts(count: int, copies: float) -> list[str]:
    """As many texts, the same every time."""
    rng = random.Random(0)
    words = ["".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(2, 9))) for _ in range(5000)]
    texts: list[list[str]] = []
    for _ in range(count):
        if texts and rng.random() < copies:
            text = list(rng.choice(texts))
            for _ in range(20):
                text[rng.randrange(len(text))] = rng.choice(words)
        else:
            text = rng.choices(words, k=300)
        texts.append(text)
    return [" ".join(text) for text in texts]


if __name__ == "__main__":
    main()
