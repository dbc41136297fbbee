"""A short list of what lm-eval itself has."""

from pathlib import Path

import pytest

from hyperfit.evaluation.tasks import named
from hyperfit.evaluation.tasks.harness import task_manager
from small_tasks import CHOICE, write_tasks


@pytest.fixture
def few_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """lm-eval's own tasks take seconds to be listed: two names stand for them."""
    own = write_tasks(tmp_path / "lm-eval", {**CHOICE, "task": "mmlu_law", "dataset_path": "cais/mmlu"}, CHOICE)
    monkeypatch.setattr(named, "INDEX", [task_manager(defaults=False, folder=str(own))])
