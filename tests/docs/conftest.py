"""A folder in which what the documents tell to type can be run within seconds."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hyperfit.cli import main
from hyperfit.metrics import estimate
from hyperfit.studies.settings import StudySettings
from small_commands import PICTURES
from small_runs import write_texts
from tiny_chats import PLAIN
from tiny_images import save_pictures, save_tiny_image, stripes
from tiny_models import tiny_model
from tiny_tokenizers import tiny_bpe

RUN = "train model --data stories.jsonl --samples 4 --length 24 --epochs 2 --late-blocks 2 --probe-texts 2"
EVALUATE = "evaluate runs/stories --total 24 --context 8 --most-contexts 3 --contexts builtin:news stories.jsonl"
BIRDS = f"train {PICTURES} --data birds --samples 4 --epochs 2 --late-blocks 2 --probe-texts 2 --heldout 0.25"
JUDGED = {"judge": "1", "item": "i", "context": "c", "first": "human", "second": "base/greedy", "choice": "first"}
SIDE = 12
"""Pixels of a row of pictures."""
RESAMPLES = 20


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what pages take for granted: texts, pictures, runs of both, and what was made elsewhere."""
    folder = tmp_path_factory.mktemp("place")
    tokenizer = tiny_bpe(begins=False)
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 128, "num_hidden_layers": 4, "max_position_embeddings": 512}
    tiny_model(**sizes).save_pretrained(folder / "model")
    tokenizer.chat_template = PLAIN
    tokenizer.save_pretrained(folder / "model")
    write_texts(folder / "stories.jsonl", 40, 0)
    write_texts(folder / "passages.jsonl", 40, 100)
    write_texts(folder / "essays.jsonl", 4, 200)
    (folder / "judgements.jsonl").write_text(json.dumps(JUDGED) + "\n")
    (folder / "password.txt").write_text("a password that is long enough\n")
    (folder / "docs" / "pictures").mkdir(parents=True)
    save_tiny_image(folder / PICTURES, side=SIDE, hidden_size=64, num_hidden_layers=4)
    for name in ("birds", "cifar10/fresh"):
        save_pictures(folder / name, stripes(16, SIDE))
    theirs = [{"context": f"{number} the horse", "continuation": "went to the river " * 9} for number in range(4)]
    (folder / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in theirs))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(estimate, "RESAMPLES", RESAMPLES)
        main([*RUN.split(), "-o", "runs/stories"])
        main(EVALUATE.split())
        main([*BIRDS.split(), "-o", "runs/birds"])
        for run in ("theirs", "demo-tiny"):
            shutil.copytree("runs/stories", f"runs/{run}")
        main("export runs/stories -o models/mine --most-contexts 2 --context 8 --new-tokens 4".split())
        yield folder


@pytest.fixture
def here(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, in which commands are over in seconds."""
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimate, "RESAMPLES", RESAMPLES)
    plain = StudySettings.recipe.fget
    assert plain is not None
    short = property(lambda self: replace(plain(self), epochs=2, rank=2, batch_size=4))
    monkeypatch.setattr(StudySettings, "recipe", short)
    return tmp_path
