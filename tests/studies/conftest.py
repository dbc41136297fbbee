"""Studies of short trainings."""

from dataclasses import replace

import pytest

from hyperfit.studies.settings import StudySettings


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few epochs: what is learnt does not matter here."""
    plain = StudySettings.recipe.fget
    assert plain is not None
    monkeypatch.setattr(
        StudySettings,
        "recipe",
        property(lambda self: replace(plain(self), epochs=2, heldout=0.3, rank=2, batch_size=4)),
    )
