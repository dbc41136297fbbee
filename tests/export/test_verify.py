"""Texts and choices before and after an export, compared: by hand, and on models whose difference is known."""

import copy

import pytest
import torch

from hyperfit.errors import UserError
from hyperfit.export.card import verified
from hyperfit.export.verify import (
    Difference,
    Verification,
    Written,
    check_same,
    compare,
    first_difference,
    likeliest,
    observe,
)
from tiny_models import random_ids, tiny_model, tiny_tokenizer


def written(texts: list[list[int]], likeliest: list[list[list[int]]], gaps: list[list[float]]) -> Written:
    """Tokens with the ten likeliest filled up, the first as much likelier than the second as ``gaps`` say."""
    filled = [[[*tokens, *range(100, 110 - len(tokens))] for tokens in text] for text in likeliest]
    logs = [[[-0.5, -0.5 - gap, *[-9.0] * 8] for gap in text] for text in gaps]
    return Written(texts, torch.tensor(filled), torch.tensor(logs))


def test_differences_by_hand() -> None:
    before = written(
        [[5, 6, 7], [5, 8, 9], [1, 2, 3]],
        [[[5, 1], [6, 2], [7, 3]], [[5, 1], [8, 4], [9, 3]], [[1, 2], [2, 1], [3, 1]]],
        [[1.0, 1.0, 1.0], [1.0, 0.25, 1.0], [2.0, 3.0, 4.0]],
    )
    after = written(
        [[5, 6, 7], [5, 4, 4], [77, 2, 3]],
        [[[5, 1], [6, 2], [7, 3]], [[5, 1], [4, 8], [9, 3]], [[77, 1], [2, 1], [3, 1]]],
        [[1.0] * 3] * 3,
    )
    found = compare(before, after)
    assert (found.contexts, found.new_tokens, found.same_texts) == (3, 3, 1)
    assert (found.same_choices, found.choices) == (7, 9)
    assert found.differences == (
        Difference(context=1, token=1, before=8, after=4, gap=0.25, rank=2),
        Difference(context=2, token=0, before=1, after=77, gap=2.0, rank=None),
    )
    assert verified(found) == (
        "Loaded again, it continued 3 held-out contexts greedily by 3 tokens: 1 of 3 texts are those of before, token "
        "by token. Along these texts 2 of 9 choices differ (22 %). Where texts first differ, the two likeliest tokens "
        "were 2.000 nats apart (median; at most 2.000)."
    )


def test_the_first_difference() -> None:
    assert first_difference([1, 2, 3], [1, 2, 3]) is None
    assert first_difference([1, 2, 3], [1, 4, 5]) == 1


def test_a_model_is_the_same_as_itself_and_its_choices_are_its_texts() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    contexts = random_ids(4, 6).tolist()
    seen = [
        observe(model, tokenizer, contexts, what="twice", new_tokens=8, along=along)
        for along in (None, observe(model, tokenizer, contexts, what="once", new_tokens=8).texts)
    ]
    found = compare(*seen)
    assert (found.same_texts, found.share, found.differences) == (4, 1.0, ())
    logits = model(input_ids=torch.tensor([contexts[0] + seen[0].texts[0]])).logits[0, 5:-1]
    assert torch.equal(seen[0].likeliest[0, :, 0], logits.argmax(-1))
    torch.testing.assert_close(seen[0].log_probabilities[0, :, 0], logits.log_softmax(-1).max(-1).values)


def test_what_is_likeliest_at_the_first_token_follows_the_context() -> None:
    model = tiny_model()
    tokens, logs = likeliest(model, [3, 4, 5], [6, 7])
    with torch.no_grad():
        expected = model(input_ids=torch.tensor([[3, 4, 5]])).logits[0, -1].log_softmax(-1).topk(10)
    assert tokens.shape == (2, 10)
    assert torch.equal(tokens[0], expected.indices)
    torch.testing.assert_close(logs[0], expected.values)


def test_another_model_is_refused_and_a_rounded_one_is_not() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    contexts = random_ids(6, 6).tolist()
    before = observe(model, tokenizer, contexts, what="before", new_tokens=8)
    rounded = copy.deepcopy(model)
    for one in rounded.parameters():
        one.data = one.data.bfloat16().float()
    near = compare(before, observe(rounded, tokenizer, contexts, what="near", new_tokens=8, along=before.texts))
    check_same(near, "export", "remedy")
    assert near.share > 0.9
    far = compare(
        before, observe(tiny_model(seed=1), tokenizer, contexts, what="far", new_tokens=8, along=before.texts)
    )
    with pytest.raises(UserError, match=r"export: finds the same token likeliest at \d+ of 48 places.*; remedy"):
        check_same(far, "export", "remedy")


def test_half_of_the_choices_is_enough() -> None:
    half = Verification(contexts=2, new_tokens=4, same_texts=0, same_choices=4, differences=())
    check_same(half, "export", "remedy")
    with pytest.raises(UserError):
        check_same(Verification(**{**vars(half), "same_choices": 3}), "export", "remedy")
