"""What environment.json may say: what hyperfit writes, and nothing that files could be named by or that cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest

from hyperfit.errors import UserError
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from made_runs import ENVIRONMENT

WHOLE: dict[str, Any] = {
    **ENVIRONMENT,
    "weights_fingerprint": "0123456789abcdef",
    "validation_sequences": 0,
    "picture": [8, 8],
    "prefix_cache": {"blocks": 7, "name": "0123456789abcdef", "seconds": 0.5},
    "device": "cpu",
}


def written(folder: Path, environment: Any) -> RunDir:
    run = RunDir.create(folder, Recipe(model="m", data="d"), ENVIRONMENT)
    (folder / "environment.json").write_text(json.dumps(environment))
    return run


@pytest.mark.parametrize("environment", [WHOLE, {**WHOLE, "picture": None, "prefix_cache": None}, ENVIRONMENT])
def test_what_a_run_writes_is_read(tmp_path: Path, environment: dict[str, Any]) -> None:
    assert written(tmp_path / "run", environment).environment == environment


@pytest.mark.parametrize("name", sorted(ENVIRONMENT.keys() - {"versions", "precision"}))
def test_what_every_run_says_is_needed(tmp_path: Path, name: str) -> None:
    run = written(tmp_path / "run", {key: value for key, value in WHOLE.items() if key != name})
    with pytest.raises(UserError, match=rf"environment.json: is not what hyperfit wrote \({name} is missing\)"):
        run.environment  # noqa: B018


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data_fingerprint", "../../etc/passwd"),
        ("data_fingerprint", 5),
        ("data_fingerprint", ""),
        ("weights_fingerprint", None),
        ("processes", 0),
        ("processes", True),
        ("parameters", -1),
        ("parameters", 2**63),
        ("parameters", 0.5),
        ("blocks", "7"),
        ("adapted_blocks", 7),
        ("adapted_blocks", ["7"]),
        ("picture", [8, None]),
        ("prefix_cache", {}),
        ("prefix_cache", 0.5),
        ("versions", "1"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    run = written(tmp_path / "run", {**WHOLE, name: value})
    with pytest.raises(UserError, match=rf"wrote \({name} cannot be that\); the run is damaged"):
        run.environment  # noqa: B018


@pytest.mark.parametrize("other", [[], "a", 1, None])
def test_what_is_no_object_is_refused(tmp_path: Path, other: Any) -> None:
    with pytest.raises(UserError, match="it is no object with named fields"):
        written(tmp_path / "run", other).environment  # noqa: B018
