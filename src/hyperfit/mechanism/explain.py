"""The verb: every study on one pair of models and one set of texts, each kept as soon as it is done."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hyperfit.console import say
from hyperfit.errors import UserError
from hyperfit.mechanism.pair.inputs import Models, StudyInputs, check_inputs
from hyperfit.mechanism.runners import DEPENDS, EVERYWHERE, RUNNERS, Runner
from hyperfit.mechanism.settings import STUDIES, MechanismSettings, Study
from hyperfit.models.structure.layout import inner_model
from hyperfit.runs.files import write_json


def explain(
    models: Models,
    settings: MechanismSettings | None = None,
    *,
    again: bool = False,
    runners: Mapping[Study, Runner] = RUNNERS,
) -> dict[str, Any]:
    """Study how the tuned model differs from its base, and write OUTPUT/mechanism.json; returns what that holds.

    ``models`` names the pair, ``settings`` what was last asked, ``studies`` each study's result: under ``made_with``
    what it depends on, under ``made_on`` the texts, under ``sentence`` the finding, the rest as the study's
    ``to_dict`` gives it. The file is written after every study, whole or not at all. A study that lies there already
    and depends on nothing that has changed is not run again, unless ``again``; those of other weights are dropped, and
    that is said. runners: of each study by name. Raises UserError before any model is loaded, with every problem.
    """
    settings = settings or MechanismSettings()
    file = models.output / "mechanism.json"
    before = read_mechanism(models)
    of = check_inputs(models, settings)
    settings = of.settings
    if of.palette is not None:
        say("pictures: without shares of words, and without classes of words; tokens are named by their colours")
    depth, shared = of.pair.depth, of.pair.shared_blocks
    known = {name: found for name, found in before.get("studies", {}).items() if of.made(found["made_with"])}
    if lost := [name for name in before.get("studies", {}) if name not in known]:
        say(f"{file}: of other models, dropped: {', '.join(lost)}")
    texts: dict[str, Any] = {"n": len(of.texts), "context": settings.context, "total": settings.total}
    if of.palette is not None:
        texts["picture"] = [of.palette.frame.height, of.palette.frame.width]
    results: dict[str, Any] = {
        "models": {"base": models.base, "tuned": models.tuned, "blocks": depth, "shared_blocks": shared},
        "settings": {
            **plain_settings(settings),
            "device": str(of.device),
            "precision": of.precision,
            "attention": inner_model(of.pair.tuned).config._attn_implementation,
        },
        "studies": known,
    }
    asked = [study for study in STUDIES if study in settings.studies]
    for place, name in enumerate(asked, start=1):
        wanted = made_with(name, of, settings)
        if name in known and known[name]["made_with"] == wanted and not again:
            say(f"{name}: done before")
            continue
        say(f"{name}: study {place} of {len(asked)}")
        found = runners[name](of, settings)
        known[name] = {"made_with": wanted, "made_on": texts, **found}
        results["studies"] = {study: known[study] for study in STUDIES if study in known}
        write_json(file, results)
        say(f"{name}: {found['sentence']}")
    if results != before:
        write_json(file, results)
    return results


def made_with(study: Study, of: StudyInputs, settings: MechanismSettings) -> dict[str, Any]:
    """What a study's result depends on, as plain values."""
    known = {**plain_settings(settings), "epochs": of.models.epochs}
    return of.identity | {name: known[name] for name in (*EVERYWHERE, *DEPENDS[study])}


def plain_settings(settings: MechanismSettings) -> dict[str, Any]:
    """The settings as JSON would give it back."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}


def read_mechanism(models: Models) -> dict[str, Any]:
    """What mechanism.json holds; empty if there is none. Raises UserError if it is damaged."""
    file = models.output / "mechanism.json"
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not all({"made_with", "made_on"} <= study.keys() for study in found["studies"].values()):
            raise ValueError("a study does not say what it was made with and on")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read ({error}); remove it, and the studies are run anew") from error
    return dict(found)
