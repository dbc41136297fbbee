"""Contrastive search against a slow loop; and the cache that grows in place, against transformers' own."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import (
    DynamicCache,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
)

from hyperfit.generation.batches.key_value_cache import RoomyLayer, roomy_cache
from hyperfit.generation.continuations import continue_contexts, left_pad
from hyperfit.generation.processors.contrastive import ContrastiveSearch
from tiny_models import END, TINY, VOCABULARY, random_ids, tiny_model, tiny_tokenizer

NEW = 8
CONTEXTS = [random_ids(length, seed=length).tolist() for length in (22, 7, 1, 15)]
CONTEXTS[1][0] = END


@torch.no_grad()
def looked_at(model: PreTrainedModel, tokens: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """(float64[vocabulary] logits after the tokens, float64[tokens, width] unit states), all computed anew."""
    output: Any = model(input_ids=torch.tensor([tokens]), use_cache=False, output_hidden_states=True)
    states = output.hidden_states[-1][0].double()
    lengths = states.norm(dim=-1, keepdim=True)  # 0 where a family's embedding of the padding's token is
    return output.logits[0, -1].double(), states / lengths.clamp(min=1e-12)


def slow(
    model: PreTrainedModel, context: Sequence[int], alpha: float, count: int, forbidden: Sequence[int] = (END,)
) -> list[int]:
    """The definition, one candidate at a time."""
    tokens = list(context)
    for _ in range(NEW):
        logits, before = looked_at(model, tokens)
        logits[list(forbidden)] = -math.inf
        shares = logits.softmax(-1)
        worth = {}
        for token in shares.topk(count).indices.tolist():
            after = looked_at(model, [*tokens, token])[1][-1]
            worth[token] = (1 - alpha) * float(shares[token]) - alpha * float((before @ after).max())
        tokens.append(max(worth, key=lambda token: worth[token]))
    return tokens[len(context) :]


@pytest.mark.parametrize("family", TINY)
def test_contrastive_search_is_its_definition_in_every_family(family: str) -> None:
    model = tiny_model(family)
    expected = [slow(model, context, 0.6, 4) for context in CONTEXTS]
    greedy = continue_contexts(model, tiny_tokenizer(), CONTEXTS, new_tokens=NEW)
    assert expected != greedy
    for size in (1, 3):
        assert expected == continue_contexts(
            model, tiny_tokenizer(), CONTEXTS, new_tokens=NEW, decoding="contrastive", batch_size=size
        )


@pytest.mark.parametrize(("alpha", "count"), [(0.3, 7), (1.0, 3)])
def test_its_parameters(alpha: float, count: int) -> None:
    model = tiny_model()
    written = continue_contexts(
        model, tiny_tokenizer(), CONTEXTS, new_tokens=NEW, decoding=f"contrastive:penalty_alpha={alpha},top_k={count}"
    )
    assert written == [slow(model, context, alpha, count) for context in CONTEXTS]


def test_there_are_no_more_candidates_than_tokens() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    all_of_them, more = (
        continue_contexts(model, tokenizer, CONTEXTS, new_tokens=2, decoding=f"contrastive:top_k={count}")
        for count in (VOCABULARY, 2 * VOCABULARY)
    )
    assert all_of_them == more


@pytest.mark.parametrize("spelling", ["contrastive:penalty_alpha=0", "contrastive:top_k=1"])
def test_without_a_penalty_or_a_choice_it_is_greedy(spelling: str) -> None:
    model, tokenizer = tiny_model("qwen2"), tiny_tokenizer()
    greedy = continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW)
    assert continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, decoding=spelling) == greedy


class Forbid(LogitsProcessor):
    """All but some tokens."""

    def __init__(self, allowed: Sequence[int]) -> None:
        self.allowed = torch.tensor(allowed)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return torch.full_like(scores, -math.inf).index_copy(1, self.allowed, scores[:, self.allowed])


def test_a_forbidden_token_is_not_taken_even_as_one_of_too_few() -> None:
    """Two tokens are allowed and four candidates asked for; alpha is 1, so that probability does not help."""
    written = continue_contexts(
        tiny_model(),
        tiny_tokenizer(),
        CONTEXTS,
        new_tokens=NEW,
        decoding="contrastive:penalty_alpha=1",
        processors=[Forbid([5, 9])],
    )
    assert {token for text in written for token in text} == {5, 9}


def test_in_a_plain_generate_by_someone_who_imports_only_the_class() -> None:
    model = tiny_model("gpt2")
    ids, mask = left_pad(CONTEXTS, END)
    config = GenerationConfig(max_new_tokens=NEW, eos_token_id=None, pad_token_id=END)
    rules = LogitsProcessorList([Forbid(range(1, 257))])
    output = model.generate(  # type: ignore[operator]
        input_ids=ids,
        attention_mask=mask,
        generation_config=config,
        custom_generate=ContrastiveSearch(penalty_alpha=0.5, top_k=3),
        logits_processor=rules,
    )
    assert output[:, : ids.shape[1]].tolist() == ids.tolist()
    assert output[:, ids.shape[1] :].tolist() == [slow(model, context, 0.5, 3) for context in CONTEXTS]


def test_it_ends_where_the_text_ends() -> None:
    model = tiny_model()
    free = [slow(model, context, 0.6, 4, forbidden=()) for context in CONTEXTS]
    end = free[0][3]
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    expected = [text[: text.index(end)] if end in text else text for text in free]
    assert {len(text) for text in expected} >= {free[0].index(end), NEW}
    for size in (1, 4):
        assert expected == continue_contexts(
            model,
            tokenizer,
            CONTEXTS,
            new_tokens=NEW,
            decoding="contrastive",
            stop_at_end=True,
            batch_size=size,
        )


# The cache


def generated(model: PreTrainedModel, cache: DynamicCache, **settings: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(token ids, logits of every step)"""
    ids, mask = left_pad(CONTEXTS, END)
    config = GenerationConfig(
        max_new_tokens=NEW, eos_token_id=None, pad_token_id=END, return_dict_in_generate=True, output_logits=True,
        **settings,
    )  # fmt: skip
    output = model.generate(  # type: ignore[operator]
        input_ids=ids, attention_mask=mask, generation_config=config, past_key_values=cache
    )
    return output.sequences, torch.stack(output.logits)


@pytest.mark.parametrize("room", [200, 30, 25, 3])
@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gpt2", "opt"])
def test_the_cache_changes_no_bit(family: str, room: int) -> None:
    """Neither in greedy nor in beam search, nor where the room does not do: 22 + 8 - 1 tokens are kept in the end."""
    model = tiny_model(family)
    for settings in ({}, {"num_beams": 3}):
        ours = generated(model, roomy_cache(model.config, room), **settings)
        theirs = generated(model, DynamicCache(config=model.config), **settings)
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_the_cache_copies_nothing_while_there_is_room() -> None:
    layer = RoomyLayer(6)
    grown = [layer.update(torch.full((2, 1, 2, 3), float(k)), torch.full((2, 1, 2, 3), -float(k))) for k in range(3)]
    assert len({keys.data_ptr() for keys, _ in grown}) == 1
    keys, values = grown[-1]
    assert keys[0, 0, :, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(values, -keys)
    assert layer.get_seq_length() == 6
    keys, _ = layer.update(torch.full((2, 1, 1, 3), 3.0), torch.full((2, 1, 1, 3), -3.0))
    assert keys[1, 0, :, 2].tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_rows_of_the_cache_are_repeated_reordered_and_cropped() -> None:
    layer, plain = RoomyLayer(9), DynamicCache().layer_class_to_replicate()  # type: ignore[misc]
    generator = torch.Generator().manual_seed(0)

    def grow(rows: int) -> None:
        keys, values = torch.randn(2, rows, 2, 1, 3, generator=generator)
        for one, other in zip(layer.update(keys, values), plain.update(keys, values), strict=True):
            assert torch.equal(one, other)

    grow(2)
    grow(2)
    for each in (layer, plain):
        each.batch_repeat_interleave(2)
    grow(4)
    for order in ([3, 3, 0, 1], [1, 0, 2, 2]):
        for each in (layer, plain):
            each.reorder_cache(torch.tensor(order))
        grow(4)
    for each in (layer, plain):
        each.crop(-2)
    grow(4)
    for each in (layer, plain):
        each.batch_select_indices(torch.tensor([2, 0]))
    grow(2)
    for each in (layer, plain):
        each.reset()
    grow(3)
