"""Scores of preference into the evaluation of the run whose texts were judged."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError, naming
from hyperfit.prefer.judgement import HUMAN
from hyperfit.prefer.statistics.score import PairScore, Scores
from hyperfit.runs.contents import check_contents
from hyperfit.runs.files import write_json
from hyperfit.runs.json_values import json_values

PEOPLE, MODEL = "preference", "judge_preference"
"""Keys of evaluation.json: what people prefer, and what a model does."""
APART = " @ "
"""Before the name of the run, in the names of conditions of a study of several runs."""


def join_scores(folder: Path, people: Scores | None, models: Mapping[str, Scores]) -> list[str]:
    """Write the preference of each condition over human text into FOLDER/evaluation.json; the conditions that have one.

    ``preference``: people's share of "preferred or equal" as an estimate, beside it ``preferred``, ``equal``,
    ``other_preferred``, ``by_domain``, ``by_length``, ``questions``, ``significance`` and the counts. A model's goes to
    ``judge_preference``, with its name as ``judge``. What stood there before is replaced. Raises UserError for a run
    that is not evaluated, where nothing judged is of it, and for more than one model.
    """
    if len(models) > 1:
        raise UserError(
            f"--run {folder}: takes the scores of one model, not of {', '.join(models)}; give one file of it"
        )
    evaluation = read_evaluation(folder)
    conditions = evaluation["conditions"]
    found: dict[str, dict[str, Any]] = {name: {} for name in conditions}
    for key, judge, scores in ((PEOPLE, None, people), *((MODEL, name, one) for name, one in models.items())):
        for (first, second), pair in (scores.pairs if scores else {}).items():
            name = condition_of(first, folder)
            if second == HUMAN and name in conditions:
                found[name][key] = {**block(pair), **({} if judge is None else {"judge": judge})}
    joined = [name for name, blocks in found.items() if blocks]
    if not joined:
        judged = sorted({first for one in (people, *models.values()) if one for first, _ in one.pairs})
        raise UserError(
            f"--run {folder}: none of its conditions ({', '.join(conditions)}) was compared with human text; judged "
            f"are {', '.join(judged)}"
        )
    for name, measures in conditions.items():
        kept = {key: value for key, value in measures.items() if key not in (PEOPLE, MODEL)}
        conditions[name] = {**kept, **found[name]}
    write_json(folder / "evaluation.json", evaluation)
    return joined


def read_evaluation(folder: Path) -> dict[str, Any]:
    """What evaluation.json holds. Raises UserError if it is not there or damaged, or for links that lead out."""
    with naming("--run"):
        check_contents(folder)
    file = folder / "evaluation.json"
    try:
        evaluation = dict(json.loads(file.read_text(encoding="utf-8")))
        dict(evaluation["conditions"])
    except FileNotFoundError as error:
        raise UserError(f"--run {folder}: is not evaluated; run hyperfit evaluate {folder} first") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"--run {folder}: {file.name} cannot be read ({error}); repeat hyperfit evaluate") from error
    return evaluation


def condition_of(judged: str, folder: Path) -> str:
    """What the run itself calls a condition that a study of several runs calls ``hyperfitted/greedy @ RUN``."""
    name, apart, run = judged.rpartition(APART)
    parts = tuple(run.split("/"))
    return name if apart and folder.resolve().parts[-len(parts) :] == parts else judged


def block(pair: PairScore) -> dict[str, Any]:
    """One condition's entry."""
    shares = asdict(pair.shares)
    return dict(
        json_values(
            {
                **shares.pop("preferred_or_equal"),
                **shares,
                "significance": asdict(pair.significance),
                "alpha": asdict(pair.alpha),
                **{
                    name: {key: asdict(one.preferred_or_equal) for key, one in getattr(pair, name).items()}
                    for name in ("by_domain", "by_length", "questions")
                },
            }
        )
    )
