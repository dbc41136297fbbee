"""What is looked at before any study is run: which are asked for, whether they can be run, and where."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError
from hyperfit.models.files.weights import weights_fingerprint
from hyperfit.runs.files import check_writable
from hyperfit.studies.catalogue import STUDIES, load_study, unknown
from hyperfit.studies.grid.wanted import Say
from hyperfit.studies.kinds import another_kind
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Study

OF = "model.json"
"""In a folder of studies: of which model they are."""


def runnable(names: Sequence[str], settings: StudySettings, notify: Say) -> list[Study]:
    """The studies that can be run; of ``all``, one that cannot is passed over, and that is said.

    Raises UserError, with every reason, for those that are named and cannot be run, and for an unknown name.
    """
    studies = chosen(names)
    if settings.scorer is not None and not any(one.scored for one in studies):
        asking = ", ".join(name for name in STUDIES if load_study(name).scored)
        raise UserError(f"--scorer {settings.scorer}: has no effect with these studies; it is for {asking}")
    hindered = {one.name: reason for one in studies if (reason := another_kind(one, settings) or one.hinders(settings))}
    if problems := [f"study {name}: {reason}" for name, reason in hindered.items() if name in names]:
        raise UserError(*problems)
    for reason in dict.fromkeys(hindered.values()):
        left = [name for name, why in hindered.items() if why == reason]
        notify(f"{', '.join(left)} {'is' if len(left) == 1 else 'are'} left out: {reason}")
    return [one for one in studies if one.name not in hindered]


def chosen(names: Sequence[str]) -> list[Study]:
    """Studies by name; ``all`` is all of them. Raises UserError, with what it may have been, for an unknown one."""
    if problems := unknown(names):
        raise UserError(*problems)
    return [load_study(name) for name in STUDIES if "all" in names or name in names]


def of_model(model: str) -> dict[str, Any]:
    """What studies of one folder have alike."""
    return {"model": model, "weights": weights_fingerprint(model), "format": 1}


def check_folder(folder: Path, model: str) -> None:
    """Raises UserError if the folder cannot be written to, or holds studies of another model or version."""
    check_writable(folder)
    try:
        there = json.loads((folder / OF).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"--output {folder}: {OF} cannot be read ({error}); remove it, or name a new folder") from error
    if there != of_model(model):
        whose = there.get("model", "?") if isinstance(there, dict) else "?"
        other = "another model" if whose != model else "other weights of it, or of another version of hyperfit"
        raise UserError(f"--output {folder}: holds studies of {whose}, {other}; name a new folder")
