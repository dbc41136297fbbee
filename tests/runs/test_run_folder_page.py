"""The page on the run's folder beside what whole small runs leave: every file, event and field is named there."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from documented import ROOT
from hyperfit.cli import main
from hyperfit.runs.contents import CONTENTS
from hyperfit.training import probes
from small_runs import write_texts
from tiny_images import save_pictures, save_tiny_image, stripes
from tiny_models import tiny_model
from tiny_tokenizers import tiny_bpe

PAGE = (ROOT / "docs/reference/run-folder.md").read_text("utf-8")
SMALL = "--samples 4 --batch-size 2 --epochs 2 --probe-texts 2 --heldout 0.25 --precision fp32 --device cpu"
LATE = f"{SMALL} --late-blocks 1 --rank 4"
FEW = "--most-contexts 2 --context 8 --total 104 --device cpu"
COMMANDS = (
    f"train model --data stories.jsonl --length 24 {LATE} --keep-every 1 --log-with tensorboard -o runs/texts",
    "evaluate runs/texts --most-contexts 2 --context 8 --total 24 --contexts stories.jsonl --decodings greedy "
    "--tasks builtin:continuation --task-limit 2",
    f"mechanism runs/texts --studies ranks placement --depths 1 --contexts stories.jsonl {FEW}",
    "judge runs/texts --model model --device cpu",
    "export runs/texts --most-contexts 2 --context 8 --new-tokens 4",
    "report runs/texts",
    f"train pictures-model --data pictures {LATE} -o runs/pictures",
    "complete runs/pictures --count 2 --block-citations",
    "report runs/pictures",
    f"train model --data stories.jsonl --length 24 --method full {SMALL} --stop-copying 0.5 -o runs/recited",
)
PASSING = {"checkpoints/"}
"""What is there while training goes on."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs on texts and on pictures that all commands have been through, and of one that recited."""
    folder = tmp_path_factory.mktemp("whole")
    tokenizer = tiny_bpe(begins=False)
    tiny_model(vocab_size=len(tokenizer), num_hidden_layers=2, max_position_embeddings=256).save_pretrained(
        folder / "model"
    )
    tokenizer.save_pretrained(folder / "model")
    write_texts(folder / "stories.jsonl", 16, 0, words=120)
    save_tiny_image(folder / "pictures-model", num_hidden_layers=2)
    save_pictures(folder / "pictures", stripes(12))
    look, shares = probes.greedy_text, iter([0.0, 0.0, 1.0])

    def reciting(*given: Any) -> dict[str, Any]:
        return {**look(*given), "long_overlap_share": next(shares)}

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in COMMANDS:
            if "--stop-copying" in line:
                patch.setattr(probes, "greedy_text", reciting)
            main(line.split())
    return folder / "runs"


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without what heads it."""
    table = [line for line in PAGE.partition(f"{heading}\n")[2].splitlines() if line.startswith(("|", "#"))]
    end = next((place for place, line in enumerate(table) if line.startswith("#")), len(table))
    return [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in table[2:end]]


def named(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


def test_everything_that_runs_leave_is_named_and_nothing_else(runs: Path) -> None:
    patterns = [name for cells in rows("# The run's folder") for name in named(cells[0])]
    found = [
        path.name + "/" * path.is_dir() for run in ("texts", "pictures", "recited") for path in (runs / run).iterdir()
    ]
    beginnings = {pattern.partition("/")[0] + "/" * ("/" in pattern): pattern for pattern in patterns}
    assert [name for name in found if not any(fnmatch(name, pattern) for pattern in beginnings)] == []
    unseen = {pattern for pattern in beginnings if not any(fnmatch(name, pattern) for name in found)}
    assert unseen == PASSING
    for pattern in (pattern for pattern in patterns if not pattern.endswith("/") and "/" in pattern):
        inside = (runs / "texts" / pattern.partition("/")[0]).iterdir()
        assert all(fnmatch(path.name, pattern.partition("/")[2]) for path in inside)


def test_links_are_looked_for_in_all_that_is_named() -> None:
    """``.prefix-cache`` lies beside a run, not in it."""
    named_first = {name.partition("/")[0] for cells in rows("# The run's folder") for name in named(cells[0])}
    assert [name for name in named_first if not any(fnmatch(name, one) for one in CONTENTS)] == []


def test_every_event_has_the_fields_that_are_named(runs: Path) -> None:
    told = {named(cells[0])[0]: {*named(cells[2])} for cells in rows("## events.jsonl")}
    found: dict[str, set[str]] = {}
    for file in runs.glob("*/events.jsonl"):
        for event in map(json.loads, file.read_text("utf-8").splitlines()):
            found.setdefault(event["event"], set()).update(event.keys() - {"event"})
    assert found.keys() == told.keys()
    assert {kind: fields - told[kind] for kind, fields in found.items() if fields - told[kind]} == {}
    reasons = {"loss", "epochs", "auto", "--stop auto", "copying", "--stop-copying", "nan", "interrupted"}
    assert told["end"] - found["end"] == reasons
    assert told["recited"] == found["recited"]


def test_every_key_of_an_evaluation_is_named(runs: Path) -> None:
    told = {name for cells in rows("## evaluation.json") for name in named(cells[0])}
    assert json.loads((runs / "texts" / "evaluation.json").read_text("utf-8")).keys() == told
