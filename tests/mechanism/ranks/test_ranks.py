"""Rank origin: exact identities, planted overrides at known ranks, and counts written out."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from torch import nn
from transformers import PreTrainedTokenizerFast

from hyperfit.mechanism.pair.continuations import Continuing
from hyperfit.mechanism.pair.pair import Pair
from hyperfit.mechanism.ranks.origin import origins, rank_origin
from hyperfit.mechanism.ranks.ranks import Choices, choices
from hyperfit.mechanism.ranks.token_classes import CLASSES, word_class, word_classes
from tiny_models import VOCABULARY, random_ids, tiny_model, tiny_tokenizer
from tiny_tokenizers import BEGIN

TEXTS = random_ids(4, 20)


def stubborn(token: int) -> Pair:
    """A base model, and one that always chooses the same token."""
    base, tuned = tiny_model("phi"), tiny_model("phi")
    head = tuned.get_output_embeddings()
    assert isinstance(head, nn.Linear)
    head.bias.data[token] = 1e4
    return Pair(base, tuned)


def test_base_against_itself_overrides_nothing() -> None:
    pair = Pair(tiny_model(), tiny_model())
    seen = choices(pair, TEXTS, skip=5)
    assert seen.rank.shape == (4, 15)
    assert (seen.rank == 1).all()
    assert not seen.overrides.any()
    assert (seen.chosen == seen.displaced).all()
    found = origins(seen, TEXTS, tiny_tokenizer(), skip=5)
    assert (found.override.value, found.preferred) == (0, 1)
    assert [share.value for share in found.deep.values()] == [0, 0, 0]
    assert found.bins == [1]
    assert [share.value for share in found.histogram] == [1]
    assert found.rising == found.falling == found.examples == []


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_ranks_are_those_of_scipy(batch_size: int) -> None:
    pair = Pair(tiny_model(), tiny_model(seed=1))
    seen = choices(pair, TEXTS, skip=3, batch_size=batch_size)
    with torch.no_grad():
        base, tuned = (model(input_ids=TEXTS).logits[:, 2:-1].numpy() for model in (pair.base, pair.tuned))
    ranks = rankdata(-base, axis=-1, method="min")
    assert (seen.chosen == tuned.argmax(-1)).all()
    assert (seen.displaced == base.argmax(-1)).all()
    assert (seen.rank == np.take_along_axis(ranks, tuned.argmax(-1)[..., None], -1)[..., 0]).all()
    assert seen.rank.max() > 100  # two unrelated models: the check reaches into the tail
    assert seen.deeper_than(10) == pytest.approx((seen.rank > 10).mean(1))


def test_planted_token_has_its_rank_everywhere() -> None:
    seen = choices(stubborn(77), TEXTS)
    assert (seen.chosen == 77).all()
    base = tiny_model("phi")
    with torch.no_grad():
        logits = base(input_ids=TEXTS).logits[:, :-1]
    assert (seen.rank == 1 + (logits > logits[..., 77:78]).sum(-1).numpy()).all()


def test_ties_share_the_best_rank() -> None:
    base = tiny_model("phi")
    head = base.get_output_embeddings()
    assert isinstance(head, nn.Linear)
    head.weight.data.zero_()
    head.bias.data.zero_()
    assert (choices(Pair(base, tiny_model("phi")), TEXTS).rank == 1).all()


def test_free_running_choices_are_the_text() -> None:
    pair, tokenizer = Pair(tiny_model(), tiny_model(seed=1)), tiny_tokenizer()
    found = rank_origin(pair, tokenizer, TEXTS, Continuing(context=6))
    assert found.free_running.preferred > 0.9  # but for end-of-text tokens, which are not allowed there
    assert found.teacher_forced.preferred == 1
    assert found.free_running.positions == found.teacher_forced.positions == 4 * 14
    human = choices(pair, TEXTS, skip=6, free_running=True)
    assert (human.chosen == TEXTS[:, 6:].numpy()).all()
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert "In its own greedy texts" in told["sentence"]
    assert "on human text" in told["sentence"]


def made_up() -> Choices:
    """Two texts of four choices; tokens are bytes, of which 1 + byte is the id."""
    rank = np.array([[1, 2, 11, 1], [1, 1, 250, 120]])
    chosen = np.array([[98, 99, 100, 98], [98, 98, 101, 102]])
    displaced = np.where(rank == 1, chosen, 50)
    return Choices(chosen=chosen, displaced=displaced, rank=rank, preferred=chosen)


def test_everything_by_hand() -> None:
    texts = torch.arange(60, 72).reshape(2, 6)
    tokenizer = tiny_tokenizer()
    found = origins(made_up(), texts, tokenizer, skip=2)
    assert found.override.value == 0.5
    assert {depth: share.value for depth, share in found.deep.items()} == {10: 3 / 8, 100: 2 / 8, 200: 1 / 8}
    assert found.bins == [1, 2, 4, 8, 16, 32, 64, 128]
    assert [share.value * 8 for share in found.histogram] == [4, 1, 0, 1, 0, 0, 1, 1]
    assert [share.value for share in found.stretches] == [0, 0.5, 1, 0.5]
    assert [(move.token, move.tuned, move.base) for move in found.falling] == [(50, 0, 4)]
    assert {(move.token, move.tuned, move.base) for move in found.rising} == {
        (token, 1, 0) for token in (99, 100, 101, 102)
    }
    first, second = found.examples
    assert (first.text, first.place, first.rank) == (1, 4, 250)
    assert (second.text, second.place, second.rank) == (0, 4, 11)
    assert first.before == tokenizer.decode(texts[1, :4])
    assert first.chosen == tokenizer.decode([101])
    assert first.displaced == tokenizer.decode([50])


def test_shares_of_classes_add_up_and_overrides_are_those_of_the_displaced() -> None:
    seen = made_up()
    names = word_classes(tiny_tokenizer(), VOCABULARY)
    found = origins(seen, torch.arange(60, 72).reshape(2, 6), tiny_tokenizer(), skip=2).classes
    assert sum(share.tuned.value for share in found.values()) == pytest.approx(1)
    assert sum(share.base.value for share in found.values()) == pytest.approx(1)
    for name, share in found.items():
        assert share.tuned.value == Counter(names[token] for token in seen.chosen.ravel())[name] / 8
        assert share.base.value == Counter(names[token] for token in seen.displaced.ravel())[name] / 8
    assert found[names[50]].overridden.value == 1
    absent = set(CLASSES) - set(found)
    assert absent == set(CLASSES) - {names[token] for token in (50, 98, 99, 100, 101, 102)}


@pytest.mark.parametrize(
    ("text", "starts", "expected"),
    [
        (" the", True, "function"),
        (" The", True, "function"),
        (" ferry", True, "lower"),
        (" Paris", True, "capitalised"),
        ("ing", False, "inside"),
        ("The", False, "inside"),
        (" 1987", True, "number"),
        ("7,5", False, "number"),
        (" 3rd", True, "lower"),
        (",", False, "punctuation"),
        (' "', True, "punctuation"),
        ("\n\n", False, "space"),
        (" ", True, "space"),
        ("\ufffd", False, "punctuation"),
        (" été", True, "lower"),
    ],
)
def test_word_class(text: str, starts: bool, expected: str) -> None:
    assert word_class(text, starts=starts) == expected


def test_classes_of_a_tokenizer(bare_tokenizer: PreTrainedTokenizerFast) -> None:
    classes = word_classes(bare_tokenizer, len(bare_tokenizer) + 5)
    assert len(classes) == len(bare_tokenizer) + 5
    assert classes[-5:] == ["special"] * 5  # a model's vocabulary may be padded
    assert classes[bare_tokenizer.convert_tokens_to_ids(BEGIN)] == "special"
    expected = {"Ġthe": "function", "Ċ": "space", ".": "punctuation", "e": "inside", "Ġb": "lower", "7": "number"}
    for piece, name in expected.items():
        token = bare_tokenizer.convert_tokens_to_ids(piece)
        assert bare_tokenizer.convert_ids_to_tokens(token) == piece
        assert classes[token] == name, piece
    assert set(classes) <= set(CLASSES)


def test_a_text_without_a_class_says_nothing_of_how_it_is_overridden() -> None:
    tokenizer = tiny_tokenizer()
    inside, space = tokenizer.convert_tokens_to_ids(["e", "Ġ"])
    assert word_classes(tokenizer, VOCABULARY)[space] == "space"
    displaced = np.array([[inside, space, space, inside], [inside] * 4])
    chosen = np.where([[False, True, False, False], [False] * 4], inside, displaced)
    seen = Choices(chosen=chosen, displaced=displaced, rank=1 + (chosen != displaced), preferred=chosen)
    found = origins(seen, torch.arange(60, 72).reshape(2, 6), tokenizer, skip=2).classes
    assert (found["space"].overridden.value, found["space"].overridden.n) == (0.5, 1)
    assert found["space"].base.value == 0.25
    assert (found["inside"].overridden.value, found["inside"].overridden.n) == (0, 2)
