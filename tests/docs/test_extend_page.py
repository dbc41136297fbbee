"""The study that the page on extending hyperfit shows, put where it says and run."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from documented import blocks
from hyperfit.cli import main
from hyperfit.studies import catalogue
from hyperfit.studies.catalogue import STUDIES, Listed

PAGE = "docs/howto/extend.md"


def test_the_study_of_the_page_answers(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (study,) = (text for text in blocks(PAGE, "python") if "STUDY = Study(" in text)
    (entry,) = (text for text in blocks(PAGE, "python") if "Listed(" in text)
    listed: dict[str, Listed] = eval(f"{{{entry}}}", vars(catalogue).copy())
    ((name, one),) = listed.items()
    module = ModuleType(f"hyperfit.studies.questions.{one.module}")
    exec(compile(study.replace("(4, 64)", "(2, 3)"), PAGE, "exec"), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(STUDIES, name, one)
    small = "--data stories.jsonl --seeds 2 --samples 4 --length 24 --most-contexts 4 --context 8 --total 104"
    main(["study", name, "--model", "model", *small.split(), "-o", "studies", "--json"])
    found = json.loads(capsys.readouterr().out)[name]
    assert found["question"] == "Do adapters of a larger rank write more varied text?"
    assert found["answer"] in ("Yes", "No", "Partly")
    assert re.match(r"Rank 3 changes the type-token ratio by [+−]?\.\d+ \[.*\] against rank 2\.", found["sentence"])
    assert [row["name"] for row in found["tables"][0]["rows"]] == ["base", "rank 2", "rank 3", "human"]
    assert one.question in (here / "studies" / "studies.html").read_text("utf-8")
