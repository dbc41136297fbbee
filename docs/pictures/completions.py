"""Draw completions of several runs side by side: what was given, base, each run, the picture itself.

    python docs/pictures/completions.py RUN ... -o cifar10.webp

Takes what ``hyperfit complete RUN`` left in each folder, the same pictures for all; the columns have the folders'
names. The last column is the training picture of the first run that its completion is nearest to.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from hyperfit.image.completion.completions import BASE, HYPERFITTED
from hyperfit.image.completion.contexts import pictures_of_run
from hyperfit.image.completion.grid import Column, draw_grid, with_unknown
from hyperfit.image.completion.nearest import nearest
from hyperfit.image.completion.written import picture_of
from hyperfit.image.palette import load_palette
from hyperfit.image.reading.decode import Pixels
from hyperfit.image.settings import LINES, CompletionSettings
from hyperfit.runs.directory import RunDir


def main() -> None:
    """Draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--shown", type=int, default=8, help="rows: the first pictures")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    first: Path = options.runs[0]
    original = written(first, BASE, "greedy", whole=False)[: options.shown]
    given = round(CompletionSettings.share * original.shape[1] * original.shape[2])
    columns = [Column("given", with_unknown(original, given))]
    columns += [Column(f"base {way}", written(first, BASE, way)) for way in ("greedy", "nucleus")]
    columns += [Column(run.name.replace("-", " "), written(run, HYPERFITTED, "greedy")) for run in options.runs]
    ours = columns[-len(options.runs)]
    opened = RunDir.open(first)
    training, _ = pictures_of_run(opened, load_palette(opened.recipe.model))
    places, _ = nearest(ours.pixels, training, given)
    columns += [Column("the picture itself", original), Column(f"nearest to {ours.heading}", training[places])]
    drawn = [Column(one.heading, one.pixels[: options.shown]) for one in columns]
    draw_grid(drawn).save(options.output, lossless=True)


def written(run: Path, model: str, decoding: str, *, whole: bool = True) -> Pixels:
    """What a model made of all pictures; whole False: the pictures as they are."""
    found = []
    for line in map(json.loads, (run / LINES).read_text("utf-8").splitlines()):
        if (line["model"], line["decoding"]) == (model, decoding):
            found.append(picture_of(line["context"] + line["continuation" if whole else "reference"]))
    assert found, f"{run}: no {model} {decoding}"
    return np.array(found)


if __name__ == "__main__":
    main()
