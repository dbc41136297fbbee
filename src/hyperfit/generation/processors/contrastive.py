"""Contrastive search (Su et al., NeurIPS 2022) as a callable for ``model.generate(custom_generate=...)``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import GenerationConfig


@dataclass(frozen=True, kw_only=True)
class ContrastiveSearch:
    """Each time, the candidate that is likely and yet unlike what stands there already.

    Of the ``top_k`` likeliest tokens v, the one with the largest

        (1 - alpha) p(v) - alpha max_j cos(h_v, h_j)

    where h_v is the hidden state that v would have and h_j runs over those of context and text so far: the states
    that the head reads (``hidden_states[-1]`` in transformers), compared in float32. Deterministic; equal scores go
    to the likelier token. Each step is one forward pass with ``top_k`` rows a text, all on one key-value cache.

        model.generate(ids, attention_mask=mask, max_new_tokens=64, custom_generate=ContrastiveSearch())

    Contexts may be padded on the left: padding is never compared with. Logits processors act on the logits before
    the candidates are chosen; a token they forbid (-inf) is never taken.
    """

    penalty_alpha: float = 0.6
    top_k: int = 4

    @torch.no_grad()
    def __call__(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: Callable[..., Tensor],
        stopping_criteria: Callable[..., Tensor],
        generation_config: GenerationConfig,
        **model_kwargs: Any,
    ) -> Tensor:
        """int64[rows, context] → int64[rows, context and new tokens]; called by ``generate``, in its manner.

        Needs a key-value cache that grows (``use_cache``, no static cache); only token ids are returned.
        """
        rows = len(input_ids)
        mask = model_kwargs.get("attention_mask")  # None where generate has found no padding
        real = torch.ones_like(input_ids) if mask is None else mask
        pad = generation_config._pad_token_tensor
        running = torch.ones(rows, dtype=torch.bool, device=input_ids.device)
        inputs = model.prepare_inputs_for_generation(input_ids, is_first_iteration=True, **model_kwargs)
        outputs = model(**inputs, return_dict=True, output_hidden_states=True)
        states = F.normalize(outputs.hidden_states[-1].float(), dim=-1)
        logits = outputs.logits[:, -1]
        count = min(self.top_k, logits.shape[-1])
        model_kwargs = model._update_model_kwargs_for_generation(outputs, repeated(model_kwargs, count))
        cache = model_kwargs["past_key_values"]
        cache.batch_repeat_interleave(count)
        del outputs
        while running.any():
            scores = logits_processor(input_ids, logits.to(torch.float32, copy=True))
            allowed, candidates = scores.topk(count, dim=-1)
            likely = scores.softmax(-1).gather(1, candidates)
            inputs = model.prepare_inputs_for_generation(
                candidates.reshape(-1, 1), next_sequence_length=1, **model_kwargs
            )
            outputs = model(**inputs, return_dict=True, output_hidden_states=True)
            would_be = F.normalize(outputs.hidden_states[-1][:, -1].float(), dim=-1).view(rows, count, -1)
            alike = (would_be @ states.mT).masked_fill(real[:, None] == 0, -torch.inf).amax(-1)
            worth = (1 - self.penalty_alpha) * likely - self.penalty_alpha * alike
            chosen = worth.masked_fill(allowed == -torch.inf, -torch.inf).argmax(-1)
            which = torch.arange(rows, device=chosen.device) * count + chosen
            take_over(cache, which.repeat_interleave(count))
            states = torch.cat([states, would_be.flatten(0, 1)[which][:, None]], dim=1)
            real = F.pad(real, (0, 1), value=1)
            logits = outputs.logits[which, -1]
            model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)
            tokens = candidates.flatten()[which]
            tokens = tokens if pad is None else tokens.where(running, pad)  # a text that has ended is padded
            input_ids = torch.cat([input_ids, tokens[:, None]], dim=-1)
            running = running & ~stopping_criteria(input_ids, None)
        return input_ids


def repeated(model_kwargs: dict[str, Any], count: int) -> dict[str, Any]:
    """The model's arguments with every row as often, but for the cache."""
    return {
        key: value.repeat_interleave(count, dim=0) if isinstance(value, Tensor) else value
        for key, value in model_kwargs.items()
    }


def take_over(cache: Any, rows: Tensor) -> None:
    """Each row gets the newest token's keys and values of the row named for it; older ones are the same in both."""
    for layer in cache.layers:
        for states in (layer.keys, layer.values):
            states[:, :, -1] = states[rows, :, -1]
