"""The finding of the study of placement in words and numbers."""

import math

from hyperfit.numbers import PERCENT, RATIO, THOUSANDTHS, style_of
from hyperfit.studies.placement.design import Equal, Place
from hyperfit.studies.placement.findings import Measured, Placement

CURVES: tuple[tuple[str, tuple[Place, ...]], ...] = (
    ("with adapters", ("last",)),
    ("with all their parameters", ("late-full", "full")),
)
"""What learns in the last blocks → its trials, of rising numbers of blocks, up to the whole model."""
TIMES: tuple[Equal, ...] = ("rank", "time")
"""Without a limit of time, and at equal time."""
BESIDE = {
    "word_share": "words",
    "longest_overlap": "longest run of training data",
    "perplexity": "perplexity",
}
"""What stands beside a ratio, as variety alone is no good text: broken words and recited ones are varied, too."""


def sentence(found: Placement) -> str:
    """The finding in numbers."""
    reference = found.trials[0]
    if not reference.measures:
        flag = "--full-lr" if reference.rank is None else "--adapter-lr"
        return f"Training the last {found.late} blocks diverged: no verdict; give a smaller {flag}."
    whole = reference.rank is None
    parts = [
        f"{'All parameters of' if whole else 'Adapters in'} the last {found.late} of {found.depth} blocks: "
        f"{told(reference)}"
    ]
    places: tuple[tuple[str, Place, int | None], ...] = (
        (f"adapters in the last {found.late}", "last", found.late),
        (f"{'adapters ' if whole else ''}in the first {found.late}", "first", None),
        (f"{'adapters ' if whole else ''}in the middle {found.late}", "middle", None),
        (f"{'adapters ' if whole else ''}in all blocks", "last", found.depth),
        (f"all parameters of the last {found.late}", "late-full", found.late),
        ("all parameters without adapters", "full", None),
    )
    for words, place, blocks in places:
        trial = found.find(place, "rank", blocks)
        if trial is not None and trial is not reference:
            parts.append(f"{words}: {told(trial)}")
    return (
        f"Type-token ratio of {reference.measures['ttr'].n} greedy texts, {RATIO.told(found.base['ttr'].value)} before "
        f"training. {'; '.join(parts)}.{reached(found)}{saving(found)}{best(found)}"
    )


def reached(found: Placement) -> str:
    """How many trainings came to their goal; without it a model is not hyperfitted."""
    trials = [trial for trial in found.trials if trial.equal != "time"]
    hyperfitted = sum(trial.train_loss <= found.goal for trial in trials)
    return (
        f" {hyperfitted} of the {len(trials)} trainings without a limit of time came to a loss of {found.goal:g}."
        f"{fewest(found)}"
    )


def fewest(found: Placement) -> str:
    """The smallest numbers of last blocks with which training came to its goal."""
    said = []
    for words, where in CURVES:
        counts = {e: [len(t.blocks) for t in swept(found, where, e) if t.train_loss <= found.goal] for e in TIMES}
        if counts["rank"]:
            timed = f" ({min(counts['time'])} at equal time)" if counts["time"] else " (none at equal time)"
            said.append(f"{min(counts['rank'])} {words}{timed}")
    return f" The fewest last blocks with which it did: {', '.join(said)}." if said else ""


def swept(found: Placement, where: tuple[Place, ...], equal: Equal) -> list[Measured]:
    """The trials in those places with so much equal, the reference among them, without those that diverged."""
    return [
        trial
        for trial in found.trials
        if trial.place in where and (trial.equal == equal or trial is found.trials[0]) and trial.measures
    ]


def saving(found: Placement) -> str:
    """How many parameters the reference saves."""
    whole = found.trials[0].rank is None
    everywhere = found.find("full", "rank") if whole else found.find("last", "rank", found.depth)
    if everywhere is None or found.late == found.depth:
        return ""
    saved = 1 - found.trials[0].parameters / everywhere.parameters
    all_of_it = "the whole model has" if whole else "adapters in all blocks"
    return f" The last {found.late} train {PERCENT.told(saved)} fewer parameters than {all_of_it}."


def best(found: Placement) -> str:
    """The number of last blocks with the highest ratio, whatever is equal."""
    kinds: tuple[Equal, ...] = ("rank", "parameters", "time")
    said = []
    for words, where in CURVES:
        tops = []
        for equal in kinds:
            trials = swept(found, where, equal)
            if not trials:
                continue
            top = max(trials, key=lambda trial: trial.measures["ttr"].value)
            off = top.ttr_difference
            apart = "" if off is None or top is found.trials[0] else f", {RATIO.within(off, '+')}"
            of = "epochs" if equal == "rank" and top.rank is None else equal
            tops.append(f"{len(top.blocks)} at equal {of} ({RATIO.told(top.measures['ttr'].value)}{apart})")
        if tops:
            said.append(f"{words} for {', '.join(tops)}")
    return f" Of the numbers of last blocks that were tried, the ratio is highest {'; '.join(said)}."


def told(trial: Measured) -> str:
    """The ratio of one trial, its difference from the reference's, what its texts are worth, and how training ended."""
    known, off = trial.measures["ttr"], trial.ttr_difference
    apart = f", {RATIO.within(off, '+')}" if off is not None and off.value != 0 else ""
    beside = [
        f"{word} {style_of(name).told(trial.measures[name].value)}"
        for name, word in BESIDE.items()
        if name in trial.measures and not math.isnan(trial.measures[name].value)
    ]
    ended = ", ".join([*beside, f"loss {THOUSANDTHS.told(trial.train_loss)}", f"epoch {trial.epochs}"])
    return f"{RATIO.within(known)}{apart} ({ended})"
