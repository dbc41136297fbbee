"""One model of a pair, reading texts token by token."""

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from hyperfit.generation.batches.key_value_cache import roomy_cache
from hyperfit.mechanism.pair.pair import Pair, Side
from hyperfit.models.structure.layout import inner_model


class Reader:
    """What one side expects after each token of texts that begin alike.

    With a key-value cache, where the model keeps one that transformers can make for any; else it reads all anew.
    """

    def __init__(self, pair: Pair, side: Side, room: int) -> None:
        """room: tokens of the longest text."""
        self.pair, self.side, self.room = pair, side, room
        self.cache: DynamicCache | None = None
        self.texts: list[list[int]] = []

    def start(self, context: list[int], rows: int) -> Tensor:
        """float32[rows, vocabulary]: what follows the context, in all rows the same."""
        self.texts = [list(context) for _ in range(rows)]
        logits = self._read([context], first=True)
        if self.cache is not None:
            self.cache.batch_repeat_interleave(rows)
        return logits.repeat(rows, 1)

    def go_on(self, tokens: list[int]) -> Tensor:
        """float32[rows, vocabulary]: what follows each text once it has its next token."""
        for text, token in zip(self.texts, tokens, strict=True):
            text.append(token)
        return self._read(self.texts if self.cache is None else [[token] for token in tokens])

    def _read(self, ids: list[list[int]], *, first: bool = False) -> Tensor:
        with self.pair.side(self.side) as found:
            model: Any = inner_model(found)
            known = inspect.signature(model.forward).parameters
            if first and "past_key_values" in known and model._supports_default_dynamic_cache():
                self.cache = roomy_cache(model.config, self.room)
            how: dict[str, Any] = {"use_cache": False} if self.cache is None else {"past_key_values": self.cache}
            how |= {"logits_to_keep": 1} if "logits_to_keep" in known else {}
            logits: Tensor = model(input_ids=torch.tensor(ids, device=model.device), **how).logits[:, -1]
            return logits.float()
