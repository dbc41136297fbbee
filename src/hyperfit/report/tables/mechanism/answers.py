"""Yes, No or Partly: the answer to the question that a study of the mechanism asks, by a rule, from mechanism.json.

A result that is undefined, whose interval leaves the question open, or that has fewer than LEAST_TEXTS texts behind it
is "Not shown".
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from hyperfit.mechanism.settings import Study
from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import HUNDREDTHS, PERCENT, POINTS, RATIO, TENTHS

Found = dict[str, Any]
Word = Literal["Yes", "Partly", "No", "Not shown"]


@dataclass(frozen=True)
class Answer:
    """The answer, and the finding in a sentence."""

    word: Word
    finding: str


LEAST_TEXTS = 8
"""The bootstrap's interval of fewer is far too narrow."""
ALIKE, EXPLAINED = 0.99, 0.5
"""Top-1 agreement from which two models choose alike; share of the divergence that a temperature must explain."""
DEEP, RARE = 0.05, 0.01
"""Shares of choices from below rank 10 that are many and few."""
MOST_OF_GAIN, LITTLE_OF_GAIN = 0.75, 0.25
LAST_PART = 3
"""The last blocks are the last third of those that training changed."""

QUESTIONS: dict[Study, str] = {
    "temperature": "Is it only a colder model?",
    "bias": "Are the promoted tokens enough?",
    "ranks": "Do the choices come from deep in the base model's order?",
    "geometry": "Do the states spread out at the last block?",
    "lens": "Do the choices part only in the last blocks?",
    "intervention": "Do the last layers cause the diversity?",
    "encouragement": "Do good tokens come to the top?",
    "placement": "Is it enough to adapt the last blocks?",
}
RULES: dict[Study, str] = {
    "temperature": "Yes if the models choose alike (agreement at least 99 % throughout its interval). No if they do "
    "not (its interval lies below 99 %) and no temperature matches or at least half of the divergence stays at T*; "
    "Partly if less stays.",
    "bias": "At the strength above 0 with the highest ratio: Yes if its interval lies above the base model's and above "
    "that of random tokens at this strength, and comes up to the hyperfitted model's; Partly if it lies above both and "
    "below the hyperfitted model's; No if it lies above only one, or above none and below the hyperfitted model's. Not "
    "shown if hyperfitting itself did not raise the ratio.",
    "ranks": "By the share of choices from below rank 10 in its own texts: Yes from 5 % on, Partly from 1 % on, both "
    "throughout the interval; No if the interval lies below 1 %.",
    "geometry": "By the change of the participation ratio at the last block's output, before the norm, over all "
    "positions and behind the context: Yes if both intervals lie above 0, No if neither reaches above 0, Partly if one "
    "of them lies above 0.",
    "lens": "By the mean place at which choices part for good: Yes in the last quarter of the blocks, No in the first "
    "half, both throughout the interval; else Partly. What lies before the first trained block cannot part.",
    "intervention": "By the last third of the trained blocks, put on the base model: Yes if they carry at least three "
    "quarters of the gain in type–token ratio, Partly if less, but an interval above the base model's; No if under a "
    "quarter and no such interval. Not shown if there is no gain, or training changed a single block.",
    "encouragement": "By the log rank of the human token and the share of positions at which it leads: Yes if both get "
    "better, No if one gets worse and the other no better, Partly if one gets better; judged by their intervals.",
    "placement": "By the type–token ratio of the reference, if it came to its goal: Yes if its interval lies above the "
    "base model's and training all blocks gives no more; Partly if that gives more; No if it does not lie above.",
}


def answer(study: Study, found: Found, models: Found) -> Answer:
    """The answer of one study by its rule in RULES. models: of mechanism.json, blocks and shared blocks."""
    if study == "intervention":
        return intervention(found, int(models["blocks"]) - int(models["shared_blocks"]))
    return BY_STUDY[study](found)


def temperature(found: Found) -> Answer:
    """By agreement, which no temperature changes, and by what is left of the divergence at equal entropy."""
    alike, divergence = known(found["agreement"]), {name: known(one) for name, one in found["divergence"].items()}
    told = f"the two models prefer the same token at {PERCENT.told(alike.value)} of positions"
    if undecided(alike):
        return Answer("Not shown", f"At every temperature {told}.")
    if alike.low >= ALIKE:
        return Answer("Yes", f"At every temperature {told}.")
    if alike.high >= ALIKE:
        return Answer("Not shown", f"At every temperature {told}, and the interval leaves open whether that is all.")
    if not found["one"]["matched"]:
        return Answer("No", f"No temperature makes the base model as sure, and {told}.")
    left = divergence["one"].value / divergence["1"].value
    told += f", and {PERCENT.told(left)} of the divergence stay at equal entropy"
    return Answer("Partly" if left < EXPLAINED else "No", f"At every temperature {told}.")


def bias(found: Found) -> Answer:
    """By the best strength of the promoted tokens, against base, hyperfitted model and random tokens."""
    promoted = [one["diversity"] for name, one in found["curves"].items() if name.startswith("promoted")]
    random: Found = next((one["diversity"] for name, one in found["curves"].items() if name.startswith("random")), {})
    tried = [(alpha, known(at["ttr"])) for one in promoted for alpha, at in one.items() if float(alpha) > 0]
    tried = [(alpha, ttr) for alpha, ttr in tried if not undecided(ttr)]
    plainly = [known(one["0.0"]["ttr"]) for one in promoted if "0.0" in one]
    tuned = known(found["hyperfitted"]["ttr"])
    if not tried or not plainly or undecided(plainly[0], tuned):
        return Answer("Not shown", "Too few texts with a bias and without one are there to compare.")
    base = plainly[0]
    if tuned.low <= base.high:
        return Answer("Not shown", "Hyperfitting did not raise the type–token ratio here.")
    alpha, best = max(tried, key=lambda one: one[1].value)
    control = known(random[alpha]["ttr"]) if alpha in random else base
    told = (
        f"With the promoted tokens pushed up, the base model's type–token ratio is at best {RATIO.told(best.value)}; "
        f"it is {RATIO.told(base.value)} without, {RATIO.told(tuned.value)} hyperfitted"
    )
    if best.low <= base.high:
        return Answer("No" if best.high < tuned.low else "Not shown", f"{told}.")
    if best.low <= control.high:
        return Answer("No", f"{told}, and as many random tokens pushed up give {RATIO.told(control.value)}.")
    return Answer("Yes" if best.high >= tuned.low else "Partly", f"{told}.")


def ranks(found: Found) -> Answer:
    """By the choices from below rank 10 in the model's own texts."""
    deep, override = known(found["free_running"]["deep"]["10"]), known(found["free_running"]["override"])
    told = (
        f"In its own texts {PERCENT.told(override.value)} of its choices are not the base model's first, and "
        f"{PERCENT.told(deep.value)} come from below rank 10."
    )
    if undecided(deep):
        return Answer("Not shown", told)
    if deep.low >= DEEP:
        return Answer("Yes", told)
    if deep.low >= RARE:
        return Answer("Partly", told)
    return Answer("No" if deep.high < RARE else "Not shown", told)


def geometry(found: Found) -> Answer:
    """By the change of dimension at the last block's output, with the first tokens' odd states and without."""
    changes = []
    for part in ("all", "behind_context"):
        inside = [layer for layer in found[part]["layers"] if layer["point"] != "norm"]
        changes.append(known(inside[-1]["delta_dim"]))
    told = "The participation ratio changes by {} over all positions and by {} behind the context.".format(
        *(TENTHS.told(change.value, "+") for change in changes)
    )
    if undecided(*changes):
        return Answer("Not shown", told)
    if all(change.low > 0 for change in changes):
        return Answer("Yes", told)
    if any(change.low > 0 for change in changes):
        return Answer("Partly", told)
    return Answer("No" if all(change.high <= 0 for change in changes) else "Not shown", told)


def lens(found: Found) -> Answer:
    """By the place at which the two models' choices part for good."""
    parts, last = known(found["summary"]["parts"]), len(found["points"]) - 1
    if not parts.n:
        return Answer("Not shown", "The two models choose the same token at every position.")
    told = (
        f"Where their choices differ, they part for good after {TENTHS.told(parts.value)} of {last} blocks on average."
    )
    if undecided(parts):
        return Answer("Not shown", told)
    if parts.low >= 0.75 * last:
        return Answer("Yes", told)
    return Answer("No" if parts.high < 0.5 * last else "Partly", told)


def intervention(found: Found, trained: int) -> Answer:
    """By the last blocks put on the base model. trained: how many blocks differ."""
    gain, base = known(found["gain"]), known(found["base"]["ttr"])
    last = math.ceil(trained / LAST_PART)
    points = [one for one in found["points"] if one["curve"] == "graft" and one["amount"] == last]
    if undecided(gain, base):
        return Answer("Not shown", "Too few texts are there to compare.")
    if gain.low <= 0:
        return Answer("Not shown", "Hyperfitting did not raise the type–token ratio here.")
    if last == trained or not points or points[0]["surviving"] is None:
        return Answer("Not shown", "Training changed no blocks besides the last, or the swap was not tried.")
    carried, ttr = points[0]["surviving"], known(points[0]["ttr"])
    told = (
        f"The last {last} of the {trained} trained blocks, put on the base model, carry {PERCENT.told(carried)} of the "
        "gain in type–token ratio."
    )
    if carried >= MOST_OF_GAIN and ttr.low > base.high:
        return Answer("Yes", told)
    if ttr.low > base.high:
        return Answer("Partly", told)
    return Answer("No" if carried < LITTLE_OF_GAIN else "Not shown", told)


def encouragement(found: Found) -> Answer:
    """By the human token's rank and how often it leads, before and after."""
    rank, leads = known(found["log_rank_change"]), known(found["leads_change"])
    told = (
        f"On human text, the human token's rank is {HUNDREDTHS.told(math.exp(rank.value))} times that before "
        f"(geometric mean), and it leads at {POINTS.told(leads.value, '+')} of the positions."
    )
    if undecided(rank, leads):
        return Answer("Not shown", told)
    better, worse = (rank.high < 0, leads.low > 0), (rank.low > 0, leads.high < 0)
    if any(better):
        return Answer("Yes" if all(better) else "Partly", told)
    return Answer("No" if any(worse) else "Not shown", told)


def placement(found: Found) -> Answer:
    """By the reference, the trainings of the last blocks, against the base model and all blocks."""
    reference = found["trials"][0]
    if not reference["measures"]:
        return Answer("Not shown", "Training the last blocks diverged.")
    ttr, base = known(reference["measures"]["ttr"]), known(found["base"]["ttr"])
    told = (
        f"Trained in the last {found['late']} of {found['depth']} blocks, the model writes with a type–token ratio of "
        f"{RATIO.told(ttr.value)}; the base model's is {RATIO.told(base.value)}"
    )
    if reference["train_loss"] is None or reference["train_loss"] > found["goal"]:
        return Answer("Not shown", f"{told}, but training did not come to its goal.")
    if undecided(ttr, base):
        return Answer("Not shown", f"{told}.")
    if ttr.low <= base.high:
        return Answer("No" if ttr.high <= base.high else "Not shown", f"{told}.")
    everywhere = [one for one in found["trials"][1:] if len(one["blocks"]) == found["depth"] and one["equal"] == "rank"]
    alike = [one["ttr_difference"] for one in everywhere if (one["rank"] is None) == (reference["rank"] is None)]
    if not alike or alike[0] is None or undecided(more := known(alike[0])):
        return Answer("Not shown", f"{told}; all blocks were not trained to compare.")
    told += f", and training all blocks changes it by {RATIO.told(more.value, '+')}."
    return Answer("Partly" if more.low > 0 else "Yes", told)


BY_STUDY: dict[Study, Callable[[Found], Answer]] = {
    "temperature": temperature,
    "bias": bias,
    "ranks": ranks,
    "geometry": geometry,
    "lens": lens,
    "encouragement": encouragement,
    "placement": placement,
}


def known(values: Found) -> Estimate:
    """An estimate of mechanism.json."""
    return Estimate.from_dict(values)


def undecided(*estimates: Estimate) -> bool:
    """Whether one of them has no interval, or too few texts for one to be believed."""
    return any(math.isnan(one.low) or math.isnan(one.high) or one.n < LEAST_TEXTS for one in estimates)
