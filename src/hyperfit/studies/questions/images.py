"""Carlsson et al. (2025), figure 8: completions of pictures; listed, until image models can be trained."""

from collections.abc import Sequence

from hyperfit.studies.measures.results import Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Study, Trial


def trials(settings: StudySettings) -> Sequence[Trial]:
    """None yet."""
    return ()


def tell(results: Results) -> Findings:
    """Nothing yet."""
    return Findings("Not shown", "Image models cannot be trained yet.")


STUDY = Study(
    name="images",
    trials=trials,
    tell=tell,
    hinders=lambda settings: "image models cannot be trained yet",
)
