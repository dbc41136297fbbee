"""A causal language model as judge, by how likely it finds the two texts: no reader's preference."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperfit.console import progress
from hyperfit.errors import UserError, collecting
from hyperfit.evaluation.by_model import check_scorer
from hyperfit.metrics.by_model.coherence import coherence
from hyperfit.models.devices import pick_device
from hyperfit.models.loading import load_tokenizer
from hyperfit.prefer.items.pairs import Pair, text_pairs_of
from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.judges.leanings import Leanings, leanings
from hyperfit.prefer.judges.settings import JudgeSettings

KIND = "likelihood"
"""What marks its judgements, so that they never pass for a reader's."""


@dataclass(frozen=True)
class LikelihoodJudged:
    """Which text of each pair is likelier a token."""

    pairs: list[Pair]
    judgements: list[Judgement]
    margins: list[float]
    """Mean log-probability of the first text's tokens minus that of the second's, nats; a value a pair."""
    leanings: Leanings

    def lines(self) -> list[dict[str, Any]]:
        """As a file of judgements holds them."""
        return [
            {**asdict(one), "kind": KIND, "margin": margin}
            for one, margin in zip(self.judgements, self.margins, strict=True)
        ]


def judge_by_likelihood(runs: Sequence[Path], settings: JudgeSettings) -> LikelihoodJudged:
    """Prefer, of every pair, the text whose tokens have the higher mean log-probability after the context.

    That is what the model itself would rather have written: loops and copies are likely, so that it prefers them
    (``leanings`` says how much). A tie where both means are equal. Raises UserError for texts and models that cannot
    be used.
    """
    pairs = text_pairs_of(runs, settings.study)
    texts = list(dict.fromkeys((pair.context, text) for pair in pairs for text in (pair.first_text, pair.second_text)))
    check(settings, texts)
    with progress(f"{settings.model} reads", len(texts)) as advance:
        means = coherence(
            [context for context, _ in texts],
            [text for _, text in texts],
            scorer=settings.model,
            device=settings.device,
            advance=advance,
        )
    by_text = dict(zip(texts, means.tolist(), strict=True))
    margins = [by_text[pair.context, pair.first_text] - by_text[pair.context, pair.second_text] for pair in pairs]
    known = [(pair, margin) for pair, margin in zip(pairs, margins, strict=True) if not np.isnan(margin)]
    if not known:
        raise UserError(f"--model {settings.model}: finds no token in any of the texts")
    pairs, margins = [pair for pair, _ in known], [margin for _, margin in known]
    tokenizer = load_tokenizer(settings.model)
    tokens = {text: list(tokenizer.encode(text, add_special_tokens=False)) for _, text in texts}
    return LikelihoodJudged(
        pairs,
        [judgement(pair, margin, settings.model) for pair, margin in known],
        margins,
        leanings(pairs, margins, tokens),
    )


def check(settings: JudgeSettings, texts: Sequence[tuple[str, str]]) -> None:
    """Raises UserError for a model or a device that is not there, and texts too long for the model."""
    problems: list[str] = []
    with collecting(problems):
        check_scorer(settings.model, texts, what="text", remedy="shorter texts", flag="--model")
    with collecting(problems):
        pick_device(settings.device)
    if problems:
        raise UserError(*problems)


def judgement(pair: Pair, margin: float, model: str) -> Judgement:
    """Of one pair."""
    return Judgement(
        judge=f"log-likelihood of {model}",
        item=pair.id,
        context=pair.context_id,
        domain=pair.domain,
        tokens=pair.tokens,
        first=pair.first,
        second=pair.second,
        choice="first" if margin > 0 else "second" if margin < 0 else "equal",
    )
