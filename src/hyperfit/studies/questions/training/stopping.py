"""Missing from the literature: when to stop, decided from what is seen during training alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import PERCENT, RATIO
from hyperfit.studies.measures.pooled import over_runs
from hyperfit.studies.measures.results import Results
from hyperfit.studies.questions.training.curves import found
from hyperfit.studies.questions.training.sensitivity import rate_of
from hyperfit.studies.ranges import in_range
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Row, Study, Table, Trial
from hyperfit.studies.words import answer, both
from hyperfit.training.stopping import AUTO, FIXED, PROPOSED, Rule, ended_at, reciting, stopped_at

MEASURES = ("regret", "epochs_saved", "ttr", "word_share", "long_overlap_share", "val_loss", "train_loss", "epoch")
FURTHER = 5
"""By what part of its goal every run of the grid goes on, or to the most epochs of its recipe."""
CLOSE = 0.03
"""Regret in type-token ratio up to which a rule counts as having found the best epoch."""

NEVER = Rule("no rule: an epoch that recites ends it", lambda epochs: False)
"""What every rule is to be held against, as all end there."""

Course = Sequence[Mapping[str, Any]]


def trials(settings: StudySettings) -> list[Trial]:
    """Rates, batches and numbers of sequences around the recipe, all looked at after every epoch and to the floor."""
    recipe = replace(
        settings.recipe,
        lr=rate_of(settings),
        stop_loss=settings.recipe.goal / FURTHER,
        probe_every=1,
        greedy_every=1,
        probe_texts=24,
    )
    assert recipe.lr is not None
    samples = recipe.samples or 1
    return [
        Trial("as it is", recipe),
        Trial("half the rate", replace(recipe, lr=recipe.lr / 2)),
        Trial("twice the rate", replace(recipe, lr=recipe.lr * 2)),
        Trial("half the sequences", replace(recipe, samples=max(1, samples // 2))),
        Trial("twice the batch", replace(recipe, batch_size=recipe.batch_size * 2)),
    ]


def tell(results: Results) -> Findings:
    """The rule that costs least variety, and whether it finds the best epoch on runs that it was not chosen on."""
    chosen_on, tested_on = divided(results)
    if not chosen_on:
        return Findings("Not shown", "No training was looked at: nothing is held out, or its texts are too short.")
    best = min(PROPOSED, key=lambda rule: merit(rule, chosen_on))
    tables = [
        Table(f"stopping-{name}", title, [row(rule, runs) for rule in rules(best)], MEASURES, "runs")
        for name, title, runs in (
            ("tested", "On runs that no rule was chosen on", tested_on),
            ("chosen", "On the runs of the first seed, on which rules were chosen", chosen_on),
        )
        if runs
    ]
    chosen = f"Chosen on the first seed: {best.name} ({shipped(best, tested_on)})."
    if not tested_on:
        return Findings("Not shown", f"{chosen} No other seed was trained to test it on.", tables)
    regrets, saved = regret(best, tested_on), epochs_saved(best, tested_on)
    fixed = min(FIXED, key=lambda rule: merit(rule, tested_on))
    room = Estimate(CLOSE - regrets.value, CLOSE - regrets.high, CLOSE - regrets.low, regrets.n)
    return Findings(
        both(answer(room), answer(saved)),
        f"{chosen} On {len(tested_on)} runs with other seeds it ends {RATIO.within(regrets)} below the type-token "
        f"ratio of the best epoch that does not recite, and {PERCENT.within(saved)} of the epochs earlier than "
        f"training to its end. The best fixed loss in hindsight: {fixed.name}, "
        f"{RATIO.told(regret(fixed, tested_on).value)} below and "
        f"{PERCENT.told(epochs_saved(fixed, tested_on).value)} earlier. Without a rule, ended only by an epoch that "
        f"recites: {RATIO.told(regret(NEVER, tested_on).value)} below and "
        f"{PERCENT.told(epochs_saved(NEVER, tested_on).value)} earlier.",
        tables,
    )


def shipped(best: Rule, tested_on: Sequence[Course]) -> str:
    """Whether the rule is that of ``--stop auto``; if not, which that is and how it does on the same runs."""
    if best.name == AUTO.name:
        return "which is --stop auto"
    regrets = regret(AUTO, tested_on)
    told = f", {RATIO.within(regrets)} below on runs with other seeds" if regrets.n else ""
    return f"--stop auto is: {AUTO.name}{told}"


def rules(best: Rule) -> list[Rule]:
    """All, the one that was chosen first."""
    return [best, *(rule for rule in (*PROPOSED, *FIXED, NEVER) if rule.name != best.name)]


def divided(results: Results) -> tuple[list[Course], list[Course]]:
    """The runs of the first seed, and those of all others, that were looked at."""
    known = [
        (one.trial.recipe.seed, found(one.run.events("epoch"), "ttr"))
        for label in results.labels
        for one in results.trained.get(label, [])
    ]
    first = min((seed for seed, course in known if course), default=0)
    return (
        [course for seed, course in known if course and seed == first],
        [course for seed, course in known if course and seed != first],
    )


def ideal(course: Course) -> float:
    """The highest type-token ratio of an epoch that does not recite; of all epochs, if all do."""
    sound = [event["ttr"] for event in course if not reciting(event)]
    return float(max(sound or [event["ttr"] for event in course]))


def regret(rule: Rule, courses: Sequence[Course]) -> Estimate:
    """How far below the ideal the ratio of the epoch is that the rule gives."""
    return in_range(
        "regret", over_runs([ideal(course) - course[stopped_at(rule, course)]["ttr"] for course in courses])
    )


def epochs_saved(rule: Rule, courses: Sequence[Course]) -> Estimate:
    """Share of the epochs of a run that come after the rule has ended it."""
    return in_range("epochs_saved", over_runs([1 - (ended_at(rule, course) + 1) / len(course) for course in courses]))


def merit(rule: Rule, courses: Sequence[Course]) -> float:
    """What is to be small: the regret, and a hundredth for every tenth of the epochs that are not saved."""
    return regret(rule, courses).value + 0.1 * (1 - epochs_saved(rule, courses).value)


def row(rule: Rule, courses: Sequence[Course]) -> Row:
    """What a rule gives, on average over runs."""
    chosen = [course[stopped_at(rule, course)] for course in courses]
    keys = ("ttr", "word_share", "long_overlap_share", "val_loss", "train_loss", "epoch")
    means = {key: over_runs([np.nan if one.get(key) is None else float(one[key]) for one in chosen]) for key in keys}
    return Row(rule.name, {"regret": regret(rule, courses), "epochs_saved": epochs_saved(rule, courses), **means})


STUDY = Study(
    name="stopping",
    trials=trials,
    tell=tell,
    method="Rates, batches and numbers of sequences around the recipe, trained far down and looked at after every "
    "epoch. Each rule is asked after every epoch, and an epoch that recites ends training before it, also without a "
    "rule or under a loss that no run comes down to. Regret: how much lower the type-token ratio is than that of the "
    "best epoch which does not recite. The rule is chosen on the first seed by its regret plus a tenth of the share of "
    f"epochs it uses, and tested on the others; up to {CLOSE} of regret it counts as having found the best epoch.",
)
