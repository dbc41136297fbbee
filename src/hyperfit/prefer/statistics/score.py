"""Judgements → everything that is told of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hyperfit.metrics.estimate import Estimate
from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.statistics.agreement import fleiss_kappa, krippendorff_alpha
from hyperfit.prefer.statistics.annotators import Reliability, reliability
from hyperfit.prefer.statistics.shares import (
    Pair,
    Shares,
    by_pair,
    grouped,
    length_of,
    opponents_compared,
    oriented,
    question_shares,
    shares,
)
from hyperfit.prefer.statistics.significance import Significance, significance
from hyperfit.prefer.statistics.strengths import Strength, strengths


@dataclass(frozen=True)
class PairScore:
    """What is told of two conditions that were compared."""

    shares: Shares
    significance: Significance
    by_domain: dict[str, Shares]
    by_length: dict[str, Shares]
    """By the tokens up to which context and continuation reach, in powers of two."""
    questions: dict[str, Shares]
    """Further questions, such as coherence."""
    alpha: Estimate


@dataclass(frozen=True)
class Scores:
    """What is told of a study's judgements."""

    judgements: int
    annotators: int
    items: int
    contexts: int
    pairs: dict[Pair, PairScore]
    compared: dict[Pair, Estimate]
    """How much oftener one condition than another is preferred or equal to human text."""
    reference: str
    """The condition whose strength is 0."""
    strengths: dict[str, Strength]
    kappa: Estimate
    alpha: Estimate
    all_annotators: Reliability
    each_annotator: dict[str, Reliability]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: pairs as a list, each with ``first`` and ``second``; NaN as None."""
        from hyperfit.runs.json_values import json_values

        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["pairs"] = [{"first": one, "second": other, **asdict(pair)} for (one, other), pair in self.pairs.items()]
        plain["compared"] = [
            {"condition": one, "other": other, **found.to_dict()} for (one, other), found in self.compared.items()
        ]
        return dict(json_values(plain))


def score(judgements: Sequence[Judgement]) -> Scores:
    """Score a study: gold and repeated items tell how reliable annotators are, all else comes from the others.

    judgements: one or more of a study; the order of a pair's conditions may differ between them.
    """
    rows = oriented(judgements)
    study = [one for one in rows if one.purpose == "study"]
    reference, known = strengths(study)
    together, each = reliability(rows)
    return Scores(
        len(study),
        len({one.judge for one in study}),
        len({one.item for one in study}),
        len({one.context for one in study}),
        {pair: pair_score(of) for pair, of in by_pair(study).items()},
        opponents_compared(study),
        reference,
        known,
        fleiss_kappa(study),
        krippendorff_alpha(study),
        together,
        each,
    )


def pair_score(rows: Sequence[Judgement]) -> PairScore:
    """Of the judgements of one pair."""
    found = shares(rows)
    domains, lengths = grouped(rows, lambda one: one.domain), grouped(rows, length_of)
    return PairScore(
        found,
        significance(found),
        {domain: shares(of) for domain, of in sorted(domains.items())},
        {str(length): shares(of) for length, of in sorted(lengths.items())},
        dict(question_shares(rows)),
        krippendorff_alpha(rows),
    )
