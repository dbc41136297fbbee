"""The values behind an evaluation, text by text: what other evaluations on the same contexts are paired with."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperfit.runs.files import writing

FILE = "evaluation_values.json"
DIGITS = 6
"""Decimals that are kept."""
Values = Mapping[str, Mapping[str, Sequence[float]]]
"""Condition or model → measure → a value a text, in the order of the contexts; NaN where undefined."""


def context_keys(contexts: Sequence[str], human: Sequence[str]) -> list[str]:
    """What tells each context, and how its text goes on as far as it is measured, from all others."""
    return [
        hashlib.sha256(f"{context}\0{follows}".encode()).hexdigest()[:16]
        for context, follows in zip(contexts, human, strict=True)
    ]


def save_values(folder: Path, keys: Sequence[str], conditions: Values, models: Values) -> None:
    """FOLDER/evaluation_values.json: ``contexts``, ``conditions`` and ``models``, one measure a line; null for NaN."""
    with writing(folder / FILE) as aside:
        aside.write_text(
            "{"
            + f'\n "contexts": {json.dumps(list(keys))},'
            + f'\n "conditions": {in_lines(conditions)},'
            + f'\n "models": {in_lines(models)}'
            + "\n}\n",
            encoding="utf-8",
        )


def in_lines(values: Values) -> str:
    """As JSON."""
    groups = [
        f"\n  {json.dumps(name, ensure_ascii=False)}: {{"
        + ",".join(f"\n   {json.dumps(key)}: {json.dumps(list(map(kept, row)))}" for key, row in measures.items())
        + "\n  }"
        for name, measures in values.items()
    ]
    return "{" + ",".join(groups) + "\n }"


def kept(value: float) -> float | None:
    """A value as it is written down."""
    return None if math.isnan(value) else round(float(value), DIGITS)


def read_values(folder: Path, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What ``save_values`` wrote, with NaN again; empty where it is not there, or is of another evaluation."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return {
            "contexts": [str(key) for key in found["contexts"]],
            **{
                part: {
                    name: {key: known(row, found["contexts"]) for key, row in measures.items()}
                    for name, measures in found[part].items()
                }
                for part in ("conditions", "models")
                if fits(found[part], evaluation.get(part, {}))
            },
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def known(row: Sequence[float | None], contexts: Sequence[str]) -> list[float]:
    """One value a context. Raises ValueError for another number of them."""
    if len(row) != len(contexts):
        raise ValueError("not a value a context")
    return [math.nan if value is None else float(value) for value in row]


def fits(values: Mapping[str, Any], estimates: Mapping[str, Any]) -> bool:
    """Whether the means of the values are the estimates. Raises ValueError if not."""
    for name, measures in values.items():
        for key, row in measures.items():
            there = [value for value in row if value is not None]
            told = (estimates[name].get(key) or {}).get("value") if there else None
            if told is not None and not math.isclose(math.fsum(there) / len(there), told, abs_tol=1e-4, rel_tol=1e-4):
                raise ValueError(f"{name}, {key}: not the mean of its values")
    return True
