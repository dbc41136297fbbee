"""Several runs beside each other: what they are called, what differs between them, their measures in one table."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperfit.metrics.copying.memorisation import LONG_OVERLAP
from hyperfit.numbers import PERCENT, PERPLEXITY, RATIO
from hyperfit.report.tables.evaluations.papers import TABLE_1, TABLE_2, present, sheet
from hyperfit.report.tables.evaluations.strip import BARS, Strip, strips_of
from hyperfit.report.tables.evaluations.summary import HUMAN, compared, decoding_of, found
from hyperfit.report.tables.evaluations.tasks import tasks_beside
from hyperfit.report.tables.measures import LEXICAL, LIKENESS, LOOPS, PREFERENCE, SHARPNESS, Measure
from hyperfit.report.tables.table import Sheet

Results = Mapping[str, Any]

CONTEXTS = ("contexts", "text_column", "most_contexts", "context", "total", "context_seed")
"""Settings of an evaluation that choose its contexts."""
RECORDED = ("data_fingerprint", "weights_fingerprint", "precision", "device", "processes", "trainable_parameters")
"""What a run's environment says that its recipe does not."""


@dataclass(frozen=True)
class Compared:
    """One run of a comparison."""

    name: str
    """Tells it from the others."""
    recipe: Mapping[str, Any]
    environment: Mapping[str, Any]
    evaluation: Results
    epochs: Sequence[Mapping[str, Any]]
    values: Mapping[str, Any] = field(default_factory=dict)
    """Text by text, as hyperfit.evaluation.values reads them; empty where they were not kept."""


def names_of(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell the folders apart, all equally long; a kept epoch with its run's."""
    parts = [steps_of(folder.absolute()) for folder in folders]
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part for part in path[-length:] if part != "/") for path in parts]
        if len(set(names)) == len(names):
            return names
    return list(map(str, folders))


def steps_of(folder: Path) -> list[str]:
    """The parts of a path; what a kept epoch adds to its run's counts as part of the run's name."""
    parts = list(folder.parts)
    return [*parts[:-3], "/".join(parts[-3:])] if parts[-2:-1] == ["epochs"] else parts


def differences(runs: Sequence[Compared]) -> list[tuple[str, list[Any]]]:
    """(setting, its value in each run) of the recipe, the environment and the evaluation, where they differ."""
    kinds: tuple[tuple[str, Callable[[Compared], Mapping[str, Any]]], ...] = (
        ("", lambda run: run.recipe),
        ("", lambda run: {name: run.environment.get(name) for name in RECORDED if name not in run.recipe}),
        ("evaluation: ", lambda run: run.evaluation.get("settings", {})),
    )
    rows = []
    for what, of in kinds:
        for name in dict.fromkeys(name for run in runs for name in of(run)):
            values = [of(run).get(name) for run in runs]
            if any(value != values[0] for value in values):
                rows.append((what + name, values))
    return rows


def same_contexts(runs: Sequence[Compared]) -> bool:
    """Whether all were evaluated on the same contexts; where these were not kept, whether they were chosen alike."""
    if all(run.values for run in runs):
        return all(set(run.values["contexts"]) == set(runs[0].values["contexts"]) for run in runs)
    chosen = [[run.evaluation.get("settings", {}).get(name) for name in CONTEXTS] for run in runs]
    own = [run.recipe.get("data") if not run.evaluation["settings"].get("contexts") else None for run in runs]
    return all(one == chosen[0] for one in chosen) and len(set(own)) == 1


def common(runs: Sequence[Compared], keys: Collection[str] | None = None) -> list[tuple[str, str, dict[str, Any]]]:
    """(kind, name, measures) of all rows: the base model's, the runs' and the human one.

    What is the same in all runs, as far as the measures ``keys`` (None: all) go, stands there once.
    Each condition has the perplexity of the model that wrote it.
    """
    rows: list[tuple[str, str, dict[str, Any]]] = []
    for kind in ("base", "hyperfitted", HUMAN):
        named = {run.name: of_kind(run, kind) for run in runs}
        ways = list(dict.fromkeys(way for one in named.values() for way in one))
        for way in ways:
            one = [named[run.name].get(way) for run in runs]
            if kind != "hyperfitted" and all(only(measures, keys) == only(one[0], keys) for measures in one):
                rows.append((kind, f"{kind}/{way}".rstrip("/"), one[0] or {}))
            else:
                who = {"base": "base of ", HUMAN: "human, "}.get(kind, "")
                rows += [
                    (kind, f"{who}{run.name}/{way}".rstrip("/"), measures)
                    for run, measures in zip(runs, one, strict=True)
                    if measures is not None
                ]
    return rows


def only(measures: Mapping[str, Any] | None, keys: Collection[str] | None) -> Mapping[str, Any]:
    """Of the measures those of the keys."""
    return {key: value for key, value in (measures or {}).items() if keys is None or key in keys}


def of_kind(run: Compared, kind: str) -> dict[str, dict[str, Any]]:
    """Decoding → measures of a model's texts, with its perplexity; of the human ones under ""."""
    conditions, models = run.evaluation.get("conditions", {}), run.evaluation.get("models", {})
    if kind == HUMAN:
        return {"": dict(conditions[HUMAN])} if HUMAN in conditions else {}
    read = {"perplexity": models[kind]["perplexity"]} if "perplexity" in models.get(kind, {}) else {}
    return {
        name.partition("/")[2]: {**measures, **read}
        for name, measures in conditions.items()
        if name.partition("/")[0] == kind
    }


def sheets(runs: Sequence[Compared]) -> list[Sheet]:
    """The tables of an evaluation with a row a run and condition, or task."""
    models = {run.name: run.evaluation["models"]["hyperfitted"] for run in runs if run.evaluation.get("models")}
    bases = [run.evaluation.get("models", {}).get("base") for run in runs]
    if all(base == bases[0] for base in bases):
        models = {"base": bases[0], **models} if bases[0] else models
    else:
        models = {f"base of {run.name}": base for run, base in zip(runs, bases, strict=True) if base} | models
    on_texts = present(
        [
            texts_sheet(runs, "diversity", title_1(runs), TABLE_1),
            texts_sheet(runs, "memorisation", "Memorisation of the training data", TABLE_2),
            sheet("sharpness", "Sharpness on human text", models, SHARPNESS),
            texts_sheet(runs, "likeness", "Likeness to human text and coherence", LIKENESS),
            texts_sheet(runs, "loops", "Loops", LOOPS),
            texts_sheet(runs, "lexical", "Lexical diversity", LEXICAL),
        ]
    )
    return on_texts + tasks_beside({run.name: run.evaluation for run in runs})


def title_1(runs: Sequence[Compared]) -> str:
    """What the first table is called: as it holds preference or not."""
    judged = any(PREFERENCE.key in of for run in runs for of in run.evaluation.get("conditions", {}).values())
    return "Preference, diversity and perplexity" if judged else "Diversity and perplexity"


def texts_sheet(runs: Sequence[Compared], name: str, title: str, measures: tuple[Measure, ...]) -> Sheet:
    """A table of what was written."""
    rows = common(runs, {measure.key for measure in measures})
    return sheet(name, title, {row: of for _, row, of in rows}, measures)


def strips_beside(runs: Sequence[Compared]) -> list[Strip]:
    """The bars of a report with one a run; those of the base models and of the human texts once where they agree."""
    ways = {decoding_of(run.evaluation) for run in runs}
    if len(ways) != 1:
        return []
    (way,) = ways
    shown = {"base": "base", HUMAN: HUMAN}
    drawn = []
    for key in BARS:
        rows = [row for row in common(runs, {key}) if row[0] == HUMAN or row[1].endswith(f"/{way}")]
        drawn += strips_of([
            (kind, shown[kind] if name in (f"{kind}/{way}", HUMAN) else name.removesuffix(f"/{way}"), only(of, {key}))
            for kind, name, of in rows
        ])  # fmt: skip
    return drawn


def in_words(run: Compared) -> str:
    """What a run gains and costs, short: of its greedy texts, or of those by the first decoding of both models."""
    measures = compared(run.evaluation).get("hyperfitted", {})
    model = run.evaluation.get("models", {}).get("hyperfitted", {})
    told = [
        (found(measures, "loop_share"), "{} of texts end in a loop", PERCENT),
        (found(measures, "ttr"), "type–token ratio {}", RATIO),
        (found(model, "perplexity"), "perplexity on human text {}", PERPLEXITY),
        (found(measures, "long_overlap_share"), f"{{}} of texts copy more than {LONG_OVERLAP} tokens", PERCENT),
    ]
    return "; ".join(
        words.format(style.told(known.value)) for known, words, style in told if not math.isnan(known.value)
    )


def by_epoch(runs: Sequence[Compared], key: str) -> list[tuple[int, list[float | None]]]:
    """(epoch, the value in each run) of a number that was measured between epochs; None where it was not."""
    values = [{int(event["epoch"]): event.get(key) for event in run.epochs} for run in runs]
    epochs = sorted({epoch for one in values for epoch, value in one.items() if value is not None})
    return [(epoch, [one.get(epoch) for one in values]) for epoch in epochs]
