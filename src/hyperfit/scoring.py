"""Measures of texts by condition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hyperfit.measure.diversity import ngram_repetition, type_token_ratio
from hyperfit.measure.estimate import Estimate, estimate, share_estimate
from hyperfit.measure.memorisation import LONG_OVERLAP, longest_overlaps


@dataclass(frozen=True)
class Scores:
    """Measures of the texts of one condition."""

    per_text: dict[str, list[float]]
    """Measure → one value a text, NaN where undefined."""
    pooled: dict[str, Estimate]
    """Measures that have no value for one text."""

    def summary(self) -> dict[str, Any]:
        """Each measure as an estimate; and the longest overlap of all texts, a maximum, which has no interval."""
        estimates: dict[str, Any] = {name: estimate(values).to_dict() for name, values in self.per_text.items()}
        estimates |= {name: value.to_dict() for name, value in self.pooled.items()}
        if "longest_overlap" in self.per_text:
            estimates["long_overlap_share"] = share_estimate(self.per_text["long_overlap_share"]).to_dict()
            estimates["most_overlap"] = int(max(self.per_text["longest_overlap"]))
        return estimates


def score(
    texts: Mapping[str, Sequence[Sequence[int]]],
    training: Sequence[Sequence[int]] | None,
    strings: Mapping[str, Sequence[str]],
) -> dict[str, Scores]:
    """Condition → scores. strings: the same texts decoded."""
    scores = {
        name: Scores(
            {
                "ttr": [type_token_ratio(tokens) for tokens in rows],
                "bigram_repetition": [ngram_repetition(tokens, 2) for tokens in rows],
                "trigram_repetition": [ngram_repetition(tokens, 3) for tokens in rows],
            },
            {},
        )
        for name, rows in texts.items()
    }
    if training is not None:
        together = longest_overlaps([tokens for rows in texts.values() for tokens in rows], training)
        for name, overlaps in zip(texts, together.reshape(len(texts), -1), strict=True):
            scores[name].per_text["longest_overlap"] = overlaps.astype(float).tolist()
            scores[name].per_text["long_overlap_share"] = (overlaps > LONG_OVERLAP).astype(float).tolist()
    return scores
