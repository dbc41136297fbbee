"""Agreement: against scipy and whole logits, on values worked by hand, and with one model in two roles."""

import math
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from scipy.spatial.distance import jensenshannon

import hyperfit.metrics.predictions.predict as predictions
from hyperfit.errors import UserError
from hyperfit.metrics.predictions.agreement import (
    Agreement,
    divergence,
    overlap,
    predict_both,
    ranks,
    spearman,
    top1_agreement,
)
from hyperfit.metrics.predictions.predict import Model, Predictions, Reader, Texts, predict, without_adapter
from hyperfit.models.loading import quiet
from tiny_models import TINY, VOCABULARY, random_ids, tiny_model

TEXTS = random_ids(4, 20)
RAGGED = [text[:length] for text, length in zip(TEXTS.tolist(), (20, 1, 9, 13), strict=True)]


def agreement(first: Model | Reader, second: Model | Reader, texts: Texts, **settings: Any) -> Agreement:
    return predict_both(first, second, texts, **settings)[2]


@torch.no_grad()
def slowly(
    first: Model, second: Model, texts: list[list[int]], skip: int, ranked: int | None
) -> dict[str, list[float]]:
    """Every measure from the whole logits, text by text, position by position."""
    found: dict[str, list[float]] = {name: [] for name in ("top1", "5", "10", "rank", "kl", "reverse", "js")}
    for text in texts:
        logits = [
            model(input_ids=torch.tensor([text]), use_cache=False).logits[0].double() for model in (first, second)
        ]
        rows: list[list[float]] = []
        for t in range(skip, len(text)):
            p, q = (each[t - 1].softmax(-1).numpy() for each in logits)
            best, others = np.argsort(-p, kind="stable"), np.argsort(-q, kind="stable")
            taken = best[:ranked]
            rows.append(
                [
                    float(best[0] == others[0]),
                    len(set(best[:5]) & set(others[:5])) / 5,
                    len(set(best[:10]) & set(others[:10])) / 10,
                    scipy.stats.spearmanr(p[taken], q[taken]).statistic,
                    scipy.stats.entropy(p, q),
                    scipy.stats.entropy(q, p),
                    jensenshannon(p, q) ** 2,
                ]
            )
        means = np.mean(rows, axis=0) if rows else [math.nan] * len(found)
        for values, mean in zip(found.values(), means, strict=True):
            values.append(float(mean))
    return found


def assert_alike(found: Agreement, expected: dict[str, list[float]]) -> None:
    for values, name in (
        (found.top1, "top1"),
        (found.overlap[5], "5"),
        (found.overlap[10], "10"),
        (found.rank_correlation, "rank"),
        (found.kl, "kl"),
        (found.reverse_kl, "reverse"),
        (found.js, "js"),
    ):
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("family", TINY)
def test_pieces_agree_with_scipy_on_the_whole_logits(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tiny_model(family, seed=0), tiny_model(family, seed=1)
    monkeypatch.setattr(predictions, "positions_at_once", lambda *given: 7)
    assert_alike(agreement(one, two, RAGGED, skip=3, batch_size=3), slowly(one, two, RAGGED, 3, 100))


def test_order_over_the_whole_vocabulary() -> None:
    one, two = tiny_model(seed=0), tiny_model(seed=1)
    expected = slowly(one, two, RAGGED, 1, None)
    assert_alike(agreement(one, two, RAGGED, ranked=None), expected)
    assert_alike(agreement(one, two, RAGGED, ranked=10 * VOCABULARY), expected)


def test_a_model_agrees_with_itself() -> None:
    model = tiny_model()
    found = agreement(model, model, TEXTS)
    for share in (found.top1, *found.overlap.values()):
        assert share.tolist() == [1] * 4
    assert found.rank_correlation == pytest.approx(1)
    for nats in (found.kl, found.reverse_kl, found.js):
        assert nats == pytest.approx(0, abs=1e-6)


def test_what_is_symmetric_and_what_changes_places() -> None:
    one, two = tiny_model(seed=0), tiny_model(seed=1)
    there, back = agreement(one, two, TEXTS, ranked=None), agreement(two, one, TEXTS, ranked=None)
    for name in ("top1", "rank_correlation", "js"):
        assert getattr(there, name) == pytest.approx(getattr(back, name), rel=1e-5)
    assert there.kl == pytest.approx(back.reverse_kl)
    assert there.reverse_kl == pytest.approx(back.kl)
    assert (np.abs(there.kl - there.reverse_kl) > 1e-3).all()
    assert (there.js <= math.log(2)).all()


def test_a_base_model_and_its_adapter_are_one_model_read_twice() -> None:
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(3)
        tuned = get_peft_model(
            tiny_model(), LoraConfig(r=2, target_modules=["q_proj", "lm_head"], init_lora_weights=False)
        )
    assert isinstance(tuned, PeftModel)
    together = agreement(without_adapter(tuned), tuned, TEXTS)
    apart = agreement(tiny_model(), tuned, TEXTS)
    assert (together.top1 < 0.9).all()
    assert together.kl.tolist() == apart.kl.tolist()
    assert together.rank_correlation.tolist() == apart.rank_correlation.tolist()


def test_other_overlaps_and_estimates() -> None:
    found = agreement(tiny_model(seed=0), tiny_model(seed=1), RAGGED, overlaps=(1, 7, VOCABULARY))
    assert list(found.overlap) == [1, 7, VOCABULARY]
    np.testing.assert_array_equal(found.overlap[1], found.top1)
    assert found.overlap[VOCABULARY][[0, 2, 3]].tolist() == [1, 1, 1]
    estimates = found.estimates()
    shares = ["top1_agreement", "top1_overlap", "top7_overlap", f"top{VOCABULARY}_overlap"]
    assert list(estimates) == [*shares, "rank_correlation", "kl", "reverse_kl", "js"]
    assert {each.n for each in estimates.values()} == {3}  # the text of one token has no position
    assert estimates["kl"].low <= estimates["kl"].value <= estimates["kl"].high


def test_each_model_is_read_as_it_is_alone() -> None:
    one, two = tiny_model(seed=0), tiny_model(seed=1)
    first, second, _ = predict_both(one, two, RAGGED, skip=7, batch_size=3)
    for found, alone in ((first, predict(one, RAGGED, batch_size=3)), (second, predict(two, RAGGED, batch_size=3))):
        assert_equal(found, alone)


def assert_equal(found: Predictions, expected: Predictions) -> None:
    for one, other in zip(astuple(found), astuple(expected), strict=True):
        np.testing.assert_equal(one, other)


def test_agreement_has_bounds_of_its_own() -> None:
    one, two = tiny_model(seed=0), tiny_model(seed=1)
    skip = [3, 1, 9, 12]  # of texts of 20, 1, 9 and 13 tokens
    found = agreement(one, two, RAGGED, skip=skip)
    assert np.isnan(found.kl).tolist() == np.isnan(found.top1).tolist() == [False, True, True, False]
    for row, first in ((0, 3), (3, 12)):
        alone = slowly(one, two, [RAGGED[row]], first, 100)
        assert [found.kl[row], found.top1[row]] == pytest.approx([*alone["kl"], *alone["top1"]], rel=1e-4)


def test_vocabularies_of_two_sizes() -> None:
    with pytest.raises(UserError, match="257 and 300 tokens; compare models with one tokenizer"):
        agreement(tiny_model(), tiny_model(vocab_size=300), TEXTS)


def test_progress_and_mode() -> None:
    one, two, done = tiny_model("gpt2").train(), tiny_model("gpt2", seed=1), list[int]()
    agreement(one, two, TEXTS, batch_size=3, advance=done.append)
    assert done == [3, 1]
    assert (one.training, two.training) == (True, False)


def test_top1_agreement_of_models_read_one_after_the_other() -> None:
    one, two = (predict(tiny_model(seed=seed), RAGGED) for seed in (0, 1))
    found = top1_agreement(one, two)
    np.testing.assert_array_equal(found, agreement(tiny_model(seed=0), tiny_model(seed=1), RAGGED).top1)
    assert np.isnan(found).tolist() == [False, True, False, False]
    assert top1_agreement(one.part(until=9), two).tolist()[2] == found[2]
    assert top1_agreement(one, one)[[0, 2, 3]].tolist() == [1, 1, 1]


# --- the measures of a position ---

values = st.lists(
    st.sampled_from([-3.0, -1.5, 0.0, 0.25, 1.0, 7.0]) | st.floats(-9, 9, width=32), min_size=2, max_size=9
)


tied = st.sampled_from([-math.inf, 0.0, 0.5, 2.0])


@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.lists(tied, min_size=n, max_size=n), min_size=1, max_size=3)))
def test_ranks_are_those_of_scipy(rows: list[list[float]]) -> None:
    assert ranks(torch.tensor(rows)).tolist() == scipy.stats.rankdata(rows, axis=1).tolist()


@given(st.data(), values)
def test_spearman_is_that_of_scipy(data: st.DataObject, first: list[float]) -> None:
    second = data.draw(
        st.lists(st.sampled_from(first) | st.floats(-9, 9, width=32), min_size=len(first), max_size=len(first))
    )
    found = float(spearman(torch.tensor([first]), torch.tensor([second])))
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(scipy.stats.spearmanr(first, second).statistic, abs=1e-5)


def test_spearman_by_hand() -> None:
    # ranks 1 2 3 4 against 2 1 4 3: 1 - 6 (1 + 1 + 1 + 1) / (4 · 15) = .6
    assert float(spearman(torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[20.0, 10, 40, 30]]))) == pytest.approx(0.6)
    assert float(spearman(torch.tensor([[1.0, 2, 3]]), torch.tensor([[9.0, 8, 7]]))) == pytest.approx(-1)


def test_overlap_by_hand() -> None:
    first, second = torch.tensor([[0, 1, 2, 3]]), torch.tensor([[3, 1, 2, 0]])
    assert [float(overlap(first[:, :k], second[:, :k])) for k in (1, 2, 4)] == [0, 0.5, 1]
    assert float(overlap(first[:, :3], second[:, :3])) == pytest.approx(2 / 3)


def test_divergence_by_hand() -> None:
    def of(first: list[float], second: list[float]) -> float:
        p, q = torch.tensor([first]), torch.tensor([second])
        return float(divergence(p, p.log(), q.log()))

    p, q, sure = [0.5, 0.5, 0.0], [0.9, 0.1, 0.0], [1.0, 0.0, 0.0]
    assert of(p, q) == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1))
    assert of(q, p) == pytest.approx(0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5))
    assert of(sure, p) == pytest.approx(math.log(2))
    assert of(p, sure) == math.inf
    assert of(sure, sure) == 0
