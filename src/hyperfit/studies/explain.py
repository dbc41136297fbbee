"""The verb: every study on one pair of models, those that train models among them."""

from typing import Any

from hyperfit.mechanism import explain as mechanism
from hyperfit.mechanism.pair.inputs import Models
from hyperfit.mechanism.runners import RUNNERS, Runner
from hyperfit.mechanism.settings import MechanismSettings, Study
from hyperfit.studies.placement.study import placements

ALL_RUNNERS: dict[Study, Runner] = {**RUNNERS, "placement": placements}


def explain(models: Models, settings: MechanismSettings | None = None, *, again: bool = False) -> dict[str, Any]:
    """``hyperfit.mechanism.explain.explain`` with the study ``placement`` too."""
    return mechanism.explain(models, settings, again=again, runners=ALL_RUNNERS)
