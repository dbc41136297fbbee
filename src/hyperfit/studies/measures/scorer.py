"""Texts of a study in the eyes of a separate model, the scorer: coherence with their contexts, likeness to people's."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.errors import UserError
from hyperfit.evaluation.by_model import likeness_to_json
from hyperfit.metrics.by_model.coherence import coherence_under
from hyperfit.metrics.by_model.mauve import TOKENS, mauve, mauve_text
from hyperfit.models.devices import autocast
from hyperfit.models.files.weights import weights_fingerprint
from hyperfit.models.loading import load_model, load_tokenizer
from hyperfit.recipes.recipe import Precision
from hyperfit.studies.grid.store import Store, digest
from hyperfit.studies.measures.bench import Bench

Written = dict[str, Any]
"""What the store holds of the texts of one model and decoding."""


@dataclass(frozen=True)
class Scorer:
    """A model that reads texts of others; loaded when it is first needed."""

    name: str
    device: torch.device
    precision: Precision
    """bf16 or fp32"""

    @cached_property
    def weights(self) -> str:
        """What tells its weights from others."""
        return weights_fingerprint(self.name)

    @cached_property
    def loaded(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The model and its tokenizer."""
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        return load_model(self.name, device=self.device, dtype=dtype), load_tokenizer(self.name)

    def coherence(self, contexts: Sequence[str], texts: Sequence[str]) -> list[float]:
        """Of each text with its context, as ``hyperfit.metrics.by_model.coherence`` defines it."""
        with autocast(self.device, self.precision):
            return [float(one) for one in coherence_under(*self.loaded, contexts, texts)]

    def likeness(self, people: Sequence[str], texts: Sequence[str], tokens: int) -> dict[str, Any]:
        """MAUVE of texts against human ones over their first ``tokens`` tokens of the scorer."""
        found = mauve(people, texts, featuriser=self.name, tokens=tokens, device=str(self.device))
        return likeness_to_json(found)


def judged(written: Written, store: Store, bench: Bench, scorer: Scorer | None) -> Written:
    """The texts with their ``coherence`` among the values and ``mauve`` among what is known of all together.

    From the store where it is there, whichever model wrote them; as they are without a scorer, and without MAUVE where
    mauve-text is not installed or the texts are people's own.
    """
    if scorer is None:
        return written
    texts = written["texts"]
    tokens = compared_tokens(bench) if texts != bench.people else None
    what = {
        "what": "scores",
        "texts": digest({"contexts": bench.contexts, "people": bench.people, "texts": texts}),
        "scorer": scorer.weights,
        "mauve_tokens": tokens,
        "device": scorer.device.type,
        "precision": scorer.precision,
    }
    scores = store.known(
        what,
        lambda: {
            "coherence": scorer.coherence(bench.contexts, texts),
            "mauve": None if tokens is None else scorer.likeness(bench.people, texts, tokens),
        },
    )
    return {
        **written,
        "values": {**written["values"], "coherence": scores["coherence"]},
        "together": {**written.get("together", {}), "mauve": scores["mauve"]},
    }


def compared_tokens(bench: Bench) -> int | None:
    """Tokens that MAUVE compares of each text, None where mauve-text is not installed.

    Half of a continuation's, for the scorer's tokens may be longer and MAUVE drops a text that has fewer; at most as
    many as elsewhere.
    """
    try:
        mauve_text()
    except UserError:
        return None
    return max(1, min(TOKENS, bench.texts.new_tokens // 2))
