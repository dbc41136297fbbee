"""Two short runs to evaluate, one by adapters and one trained whole."""

from pathlib import Path

import pytest

from hyperfit.runs.directory import RunDir
from small_evaluations import copied, runs_to_evaluate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs_to_evaluate(tmp_path_factory.mktemp("evaluation"))


@pytest.fixture(scope="module", params=["late-lora", "full"])
def run(folder: Path, request: pytest.FixtureRequest) -> RunDir:
    return RunDir.open(folder / request.param)


@pytest.fixture
def adapted(folder: Path, tmp_path: Path) -> RunDir:
    """A copy of the run with an adapter, to do with as one likes."""
    return copied(folder / "late-lora", tmp_path / "run")
