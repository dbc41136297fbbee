"""An evaluation in a few plain sentences: what changed in what the model writes, and what that costs."""

import math
from collections.abc import Mapping
from typing import Any

from hyperfit.metrics.copying.memorisation import LONG_OVERLAP, PAPER_LONG_SHARE, PAPER_OVERLAP, REMEDY, copies_much
from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import PERCENT, PERPLEXITY, RATIO, TENTHS, UNDEFINED

Results = Mapping[str, Any]

HUMAN = "human"
WORDS_LOST = 0.02
"""Share of words that are words by which hyperfitted texts may fall below the base model's without being told."""


def decoding_of(evaluation: Results) -> str | None:
    """The decoding by which both models are told apart: greedy, or else the first that both wrote by; None for none."""
    conditions = evaluation.get("conditions", {})
    both = [
        name.partition("/")[2]
        for name in conditions
        if name.startswith("base/") and name.replace("base/", "hyperfitted/", 1) in conditions
    ]
    return "greedy" if "greedy" in both else next(iter(both), None)


def compared(evaluation: Results) -> dict[str, Results]:
    """The measures of what both models wrote by one decoding, and of the human texts: base, hyperfitted, human.

    Empty unless both models wrote by one.
    """
    decoding, conditions = decoding_of(evaluation), evaluation.get("conditions", {})
    if decoding is None:
        return {}
    names = {"base": f"base/{decoding}", "hyperfitted": f"hyperfitted/{decoding}", HUMAN: HUMAN}
    return {who: conditions.get(name, {}) for who, name in names.items()}


def summary(evaluation: Results) -> list[str]:
    """What changed, what it costs, and what would lower that, a sentence each; intervals stand in the tables.

    evaluation: as evaluation.json holds it. What is undefined is not told. Empty unless both models wrote by one
    decoding.
    """
    measures = compared(evaluation)
    if not measures:
        return []
    told = (
        gain(measures, decoding_of(evaluation) or ""),
        unchanged(evaluation),
        price(measures["hyperfitted"], evaluation.get("models", {})),
        lost_words(measures),
        remedy(measures["hyperfitted"]),
    )
    return [sentence for sentence in told if sentence]


def gain(measures: Mapping[str, Results], decoding: str) -> str:
    """How many texts end in a loop; where that was not measured, how varied they are."""
    texts = "greedy texts" if decoding == "greedy" else f"texts ({decoding})"
    loops = [found(one, "loop_share").value for one in measures.values()]
    if not any(map(math.isnan, loops[:2])):
        base, hyperfitted, human = map(PERCENT.told, loops)
        of_human = f", {human} of human ones" if human != UNDEFINED else ""
        return f"{base} of the base model's {texts} end in a loop, {hyperfitted} of the hyperfitted{of_human}."
    ttr = [found(one, "ttr").value for one in measures.values()]
    if any(map(math.isnan, ttr[:2])):
        return ""
    base, hyperfitted, human = map(RATIO.told, ttr)
    of_human = f"; human texts have {human}" if human != UNDEFINED else ""
    return f"The type–token ratio of {texts} goes from {base} to {hyperfitted}{of_human}."


def unchanged(evaluation: Results) -> str:
    """Says so where the interval of the paired difference of type-token ratios holds zero."""
    decoding = decoding_of(evaluation)
    name = f"hyperfitted/{decoding} - base/{decoding}"
    change = found(evaluation.get("comparisons", {}).get(name, {}), "ttr")
    if not change.low <= 0 <= change.high:
        return ""
    return f"Over {change.n} contexts no change of the type–token ratio is shown."


def price(measures: Results, models: Results) -> str:
    """How much worse the model reads, and how often it repeats its training data."""
    before, after = (found(models.get(model, {}), "perplexity").value for model in ("base", "hyperfitted"))
    long = found(measures, "long_overlap_share").value
    parts, none = [], ""
    if not math.isnan(before) and not math.isnan(after):
        parts.append(f"perplexity on human text goes from {PERPLEXITY.told(before)} to {PERPLEXITY.told(after)}")
    if long == 0:
        none = f"No hyperfitted text repeats more than {LONG_OVERLAP} tokens of the training data."
    elif not math.isnan(long):
        of = "of texts repeat" if parts else "of the hyperfitted texts repeat"
        parts.append(f"{PERCENT.told(long)} {of} more than {LONG_OVERLAP} tokens of the training data")
    told = f"The price: {', and '.join(parts)}." if parts else ""
    return " ".join(filter(None, (told, none)))


def lost_words(measures: Mapping[str, Results]) -> str:
    """Says so where what is written holds fewer words than before: a broken word counts as variety."""
    base, hyperfitted, human = (found(one, "word_share").value for one in measures.values())
    if not hyperfitted < base - WORDS_LOST:
        return ""
    of_human = f" (human texts: {PERCENT.told(human)})" if not math.isnan(human) else ""
    return f"Words that are words fall from {PERCENT.told(base)} to {PERCENT.told(hyperfitted)}{of_human}."


def remedy(measures: Results) -> str:
    """What lowers copying, where it is above the paper's."""
    overlap, long = (found(measures, key).value for key in ("longest_overlap", "long_overlap_share"))
    if not copies_much(overlap, long):
        return ""
    here = "" if math.isnan(overlap) else f", here {TENTHS.told(overlap)}"
    paper = (
        f"at most {PERCENT.told(PAPER_LONG_SHARE)} of texts, longest runs of {PAPER_OVERLAP} tokens on average{here}"
    )
    return f"That is more copying than in Carlsson et al. ({paper}): {REMEDY} would lower it."


def found(measures: Results, key: str) -> Estimate:
    """An estimate by name; all NaN where there is none."""
    return Estimate.from_dict(measures.get(key) or dict.fromkeys(("value", "low", "high", "n")))
