"""Top-rank encouragement: measures written out in numpy, planted order, and a scorer that fits or does not."""

import gc
import json
import math
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy, rankdata
from torch import nn
from transformers import PreTrainedModel

from hyperfit.errors import UserError
from hyperfit.mechanism.pair.predictions import alone
from hyperfit.mechanism.ranks.encouragement import Encouragement, by_epoch
from tiny_models import VOCABULARY, random_ids, tiny_model

TEXTS = random_ids(4, 20)


def encouragement(model: PreTrainedModel, texts: torch.Tensor, **settings: Any) -> Encouragement:
    """Of one model."""
    return by_epoch({0: alone(model)}, texts, **settings).epochs[0]


def certain_of(token: int) -> PreTrainedModel:
    model = tiny_model("phi")
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Linear)
    head.bias.data[token] = 1e4
    return model


@torch.no_grad()
def logits_of(model: PreTrainedModel, skip: int) -> np.ndarray:
    """float64[texts, positions, vocabulary]"""
    logits: torch.Tensor = model(input_ids=TEXTS).logits[:, skip - 1 : -1]
    return logits.double().numpy()


@pytest.mark.parametrize("skip", [1, 6])
def test_everything_agrees_with_numpy(skip: int) -> None:
    model, scorer = tiny_model(), tiny_model(seed=1)
    # a scorer that shares some of the model's taste, so that its leaders are sometimes acceptable
    for mine, theirs in zip(scorer.parameters(), model.parameters(), strict=True):
        mine.data = 0.1 * mine.data + 0.9 * theirs.data
    seen = encouragement(model, TEXTS, scorer=scorer, skip=skip)
    logits, scores, human = logits_of(model, skip), logits_of(scorer, skip), TEXTS[:, skip:].numpy()
    ranks = rankdata(-logits, axis=-1, method="min")
    rank = np.take_along_axis(ranks, human[..., None], -1)[..., 0]
    assert seen.rank.value == pytest.approx(rank.mean())
    assert seen.log_rank.value == pytest.approx(np.log(rank).mean(), rel=1e-5)
    best_first = -np.sort(-softmax(logits, axis=-1), axis=-1)
    for k in (1, 5, 10):
        assert seen.within[k].value == pytest.approx((rank <= k).mean())
        assert seen.mass[k].value == pytest.approx(best_first[..., :k].sum(-1).mean(), rel=1e-5)
        assert seen.entropy[k].value == pytest.approx(entropy(best_first[..., :k], axis=-1).mean(), rel=1e-4, abs=1e-6)
    leader = logits.argmax(-1)
    other = leader != human
    acceptable = other & (np.argsort(-scores, axis=-1)[..., :5] == leader[..., None]).any(-1)
    assert seen.other_leads.value == pytest.approx(other.mean())
    assert seen.acceptable_leads.value == pytest.approx(acceptable.mean())
    assert 0 < acceptable.sum() < other.sum()
    assert seen.acceptable_of_other.value == pytest.approx((acceptable.sum(1) / other.sum(1)).mean())
    assert seen.rank.n == 4


def test_a_model_is_its_own_acceptable_scorer() -> None:
    seen = encouragement(tiny_model(), TEXTS, scorer=tiny_model())
    assert seen.acceptable_of_other.value == 1
    assert seen.acceptable_leads == seen.other_leads


def test_without_a_scorer_acceptable_is_undefined() -> None:
    seen = encouragement(tiny_model(), TEXTS)
    for share in (seen.acceptable_leads, seen.acceptable_of_other):
        assert math.isnan(share.value)
        assert share.n == 0
    assert "acceptable" not in seen.sentence()
    assert seen.other_leads.value == pytest.approx(1 - seen.within[1].value)


def test_planted_leader() -> None:
    """A model certain of token 7, on text that is only that token, or never."""
    always, never = torch.full((2, 9), 7), torch.full((2, 9), 8)
    right, wrong = (encouragement(certain_of(7), texts) for texts in (always, never))
    assert (right.rank.value, right.log_rank.value, right.within[1].value, right.other_leads.value) == (1, 0, 1, 0)
    assert (wrong.within[1].value, wrong.other_leads.value) == (0, 1)
    assert right.mass[1].value == 1
    assert right.entropy[5].value == 0
    assert wrong.rank.value > 1
    # no other token ever leads: of what does not happen there is no share
    assert math.isnan(encouragement(certain_of(7), always, scorer=tiny_model("phi")).acceptable_of_other.value)
    assert encouragement(certain_of(7), never, scorer=certain_of(7)).acceptable_of_other.value == 1


def test_uniform_model_shares_out_everything() -> None:
    model = tiny_model()
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Linear)
    head.weight.data.zero_()
    seen = encouragement(model, TEXTS)
    assert seen.rank.value == 1  # all tie
    assert seen.other_leads.value == 0
    for k in (1, 5, 10):
        assert seen.mass[k].value == pytest.approx(k / VOCABULARY)
        assert seen.entropy[k].value == pytest.approx(math.log(k), abs=1e-6)


def test_scorer_of_another_vocabulary_is_refused() -> None:
    with pytest.raises(UserError, match="its vocabulary has 300 tokens, the model's 257"):
        encouragement(tiny_model(), TEXTS, scorer=tiny_model(vocab_size=300))


def test_epochs_are_told_in_order_whatever_the_order_they_come_in() -> None:
    base, half, tuned = tiny_model(), tiny_model(seed=1), tiny_model(seed=2)
    done: list[int] = []
    seen = by_epoch({20: alone(tuned), 0: alone(base), 10: alone(half)}, TEXTS, skip=3, advance=done.append)
    assert list(seen.epochs) == [0, 10, 20]
    for epoch, model in ((0, base), (10, half), (20, tuned)):
        assert seen.epochs[epoch].rank == encouragement(model, TEXTS, skip=3).rank
    assert sum(done) == 3 * len(TEXTS)
    assert seen.log_rank_change.value == pytest.approx(seen.epochs[20].log_rank.value - seen.epochs[0].log_rank.value)
    assert seen.leads_change.value == pytest.approx(seen.epochs[20].within[1].value - seen.epochs[0].within[1].value)
    told = json.loads(json.dumps(seen.to_dict(), allow_nan=False))
    assert f"{math.exp(seen.log_rank_change.value):.2f} [" in told["sentence"]
    assert told["epochs"]["0"]["acceptable_leads"]["value"] is None


def test_which_way_human_tokens_go() -> None:
    """A head that favours the human tokens of one-token texts, and one that shuns them."""
    base = tiny_model()
    texts = torch.full((4, 12), 7)
    good, bad = tiny_model(), tiny_model()
    for model, sign in ((good, 1.0), (bad, -1.0)):
        head = model.get_output_embeddings()
        assert isinstance(head, nn.Linear)
        head.bias = nn.Parameter(torch.zeros(VOCABULARY))
        head.bias.data[7] = 50 * sign
    seen = {
        name: by_epoch({0: alone(base), 1: alone(model)}, texts)
        for name, model in (("good", good), ("bad", bad), ("same", tiny_model()))
    }
    ways = {name: one.sentence() for name, one in seen.items()}
    assert seen["good"].epochs[1].within[1].value == 1
    assert seen["good"].leads_change.value == 1 - seen["good"].epochs[0].within[1].value > 0
    assert "come closer to the top" in ways["good"]
    assert "go further down" in ways["bad"]
    assert "stay where they are: their rank after training is 1.00 [1.00, 1.00]" in ways["same"]


def test_only_one_model_is_held_at_a_time() -> None:
    made: list[weakref.ref[PreTrainedModel]] = []

    @contextmanager
    def loaded(seed: int) -> Iterator[PreTrainedModel]:
        gc.collect()
        assert not any(one() for one in made)
        model = tiny_model(seed=seed)
        made.append(weakref.ref(model))
        yield model

    by_epoch({seed: partial(loaded, seed) for seed in range(3)}, TEXTS)
    assert len(made) == 3
