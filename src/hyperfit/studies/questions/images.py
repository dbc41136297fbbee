"""Carlsson et al. (2025), figure 8: completions of pictures; listed, until studies can measure models of pictures."""

from collections.abc import Sequence

from hyperfit.studies.measures.results import Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Study, Trial


def trials(settings: StudySettings) -> Sequence[Trial]:
    """None yet."""
    return ()


def tell(results: Results) -> Findings:
    """Nothing yet."""
    return Findings("Not shown", "Studies cannot measure models of pictures yet.")


STUDY = Study(
    name="images",
    trials=trials,
    tell=tell,
    hinders=lambda settings: (
        "models of pictures are not measured by studies yet; hyperfit train and hyperfit complete show one of them"
    ),
)
