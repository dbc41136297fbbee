"""Entropy-matched temperature: scipy as oracle, planted temperatures found, greedy text equal to the token."""

import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from peft import PeftModel
from scipy.optimize import brentq
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy
from torch import nn
from transformers import PreTrainedModel

from hyperfit.errors import UserError
from hyperfit.generation.continuations import continue_contexts
from hyperfit.mechanism.pair import predictions as chunks
from hyperfit.mechanism.pair.continuations import SAMPLING, Continuing
from hyperfit.mechanism.pair.pair import Pair
from hyperfit.mechanism.temperature.entropy_matching import compared, divergence, entropy_matching, matched_temperature
from hyperfit.mechanism.temperature.temperature import (
    EntropyMatchedTemperature,
    entropy_and_slope,
    match_entropies,
    match_mean,
)
from hyperfit.models.adapt import adapt
from hyperfit.models.structure.layout import blocks_of, inner_model
from hyperfit.recipes.recipe import Recipe
from tiny_models import BLOCKS, END, FAMILIES, VOCABULARY, random_ids, tiny_model, tiny_tokenizer
from tiny_pairs import adapter_pair

TEXTS = random_ids(4, 20)
NO_IDS = torch.zeros((1, 0), dtype=torch.int64)


def scaled(temperature: float, seed: int = 0) -> PreTrainedModel:
    """The tiny model with its logits divided by a temperature."""
    model = tiny_model(seed=seed, tie_word_embeddings=False)
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Linear)
    head.weight.data /= temperature
    return model


def rows_of(count: int, tokens: int = 50, seed: int = 0) -> torch.Tensor:
    """Logits from nearly flat to nearly certain."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, tokens, generator=generator) * torch.logspace(-1, 1.3, count)[:, None]


def plain_entropy(logits: np.ndarray, temperature: float = 1.0) -> float:
    return float(scipy_entropy(softmax(logits.astype(np.float64) / temperature)))


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.0, 30.0])
def test_entropy_is_that_of_scipy_and_its_slope_a_difference(temperature: float) -> None:
    logits = rows_of(40)
    seen, slope = entropy_and_slope(logits.double(), temperature)
    assert seen.numpy() == pytest.approx([plain_entropy(row, temperature) for row in logits.numpy()], rel=1e-9)
    up, down = (entropy_and_slope(logits.double(), temperature * math.exp(step))[0] for step in (1e-5, -1e-5))
    assert slope.numpy() == pytest.approx(((up - down) / 2e-5).numpy(), rel=1e-4, abs=1e-9)
    assert (slope >= 0).all()


def test_tiny_entropies_keep_their_digits_in_fp32() -> None:
    logits = torch.tensor([[30.0, 0.0, 1.0], [0.0, -25.0, -math.inf]])
    expected = [plain_entropy(row) for row in logits.numpy()]
    assert max(expected) < 1e-9
    assert entropy_and_slope(logits, 1.0)[0].numpy() == pytest.approx(expected, rel=1e-4)


def test_ties_of_the_best_and_impossible_tokens() -> None:
    logits = torch.tensor([[2.0, 2.0, -math.inf, -math.inf]])
    for temperature in (0.01, 1.0, 100.0):
        seen, slope = entropy_and_slope(logits, temperature)
        assert float(seen) == pytest.approx(math.log(2))
        assert float(slope) == 0


@settings(max_examples=50)
@given(arrays(np.float32, 6, elements=st.floats(-20, 20, width=32)), st.floats(0.1, 10), st.floats(1.01, 3))
def test_entropy_never_falls_as_temperature_rises(row: np.ndarray, temperature: float, factor: float) -> None:
    logits = torch.from_numpy(row)[None].double()
    one, other = (float(entropy_and_slope(logits, t)[0]) for t in (temperature, temperature * factor))
    assert one <= other + 1e-12


def test_each_row_gets_the_temperature_that_brentq_finds() -> None:
    logits = rows_of(30).double()
    targets = torch.linspace(0.05, 3.5, 30, dtype=torch.float64)
    found, reached = match_entropies(partial(entropy_and_slope, logits), targets)
    assert reached.numpy() == pytest.approx(targets.numpy(), rel=2e-5)
    for row, target, temperature in zip(logits.numpy(), targets.tolist(), found.tolist(), strict=True):
        root = brentq(lambda t, row=row, target=target: plain_entropy(row, t) - target, 1e-3, 1e3, xtol=1e-12)
        assert temperature == pytest.approx(root, rel=1e-4)


def test_two_tokens_by_hand() -> None:
    """Odds of 3 to 1 have an entropy of .5623; logits 0 and 2 give these odds at T = 2 / log 3."""
    target = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    match = match_mean(partial(entropy_and_slope, torch.tensor([[0.0, 2.0]], dtype=torch.float64)), target, 1)
    assert match.matched
    assert match.temperature == pytest.approx(2 / math.log(3), rel=1e-4)
    assert "as it should be" in match.sentence()


@pytest.mark.parametrize(
    ("row", "target", "reached", "said"),
    [
        ([0.0, 1.0, 2.0], 1.2, math.log(3), "rises to"),  # more than log 3
        ([3.0, 3.0, 0.0], 0.5, math.log(2), "falls to"),  # less than log 2, as two tokens tie
        ([1.0, 1.0, 1.0], 1.0, math.log(3), "falls to"),  # the same at every temperature
    ],
)
def test_it_says_so_when_no_temperature_matches(row: list[float], target: float, reached: float, said: str) -> None:
    match = match_mean(partial(entropy_and_slope, torch.tensor([row], dtype=torch.float64)), target, 1)
    assert not match.matched
    assert match.entropy == pytest.approx(reached, rel=1e-4)
    assert "no temperature" in match.sentence()
    assert said in match.sentence()


def test_an_entropy_of_zero_is_reached_where_rounding_reaches_it() -> None:
    match = match_mean(partial(entropy_and_slope, torch.tensor([[0.0, 2.0]], dtype=torch.float64)), 0.0, 1)
    assert match.matched
    assert match.entropy == 0
    assert match.temperature < 0.02


# The processor


def test_processor_divides_by_the_temperature() -> None:
    logits = rows_of(9)
    out = EntropyMatchedTemperature(0.4)(NO_IDS, logits)
    assert out.dtype == logits.dtype
    assert torch.allclose(out.softmax(-1), (logits / 0.4).softmax(-1), atol=1e-6)


@pytest.mark.parametrize("target", [1e-4, 0.3, 2.0, 3.8])
def test_processor_gives_every_row_the_entropy(target: float) -> None:
    logits = rows_of(60, seed=3)  # in one of them the two best are so close that only a T below 1e-3 parts them
    out = EntropyMatchedTemperature(entropy=target, coldest=1e-6, hottest=1e3)(NO_IDS, logits)
    assert [plain_entropy(row) for row in out.numpy()] == pytest.approx([target] * 60, rel=1e-4)


def test_processor_goes_to_the_end_of_its_range_where_none_matches() -> None:
    logits = torch.tensor([[0.0, 0.0, -9.0], [0.0, 1.0, 2.0]])
    cold = EntropyMatchedTemperature(entropy=0.1, coldest=0.5, hottest=2.0).temperatures(logits)
    hot = EntropyMatchedTemperature(entropy=1.5, coldest=0.5, hottest=2.0).temperatures(logits)
    assert cold.tolist() == pytest.approx([0.5, 0.5])
    assert hot.tolist() == pytest.approx([2.0, 2.0])


@settings(max_examples=200)
@given(arrays(np.float32, 5, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)), st.floats(1e-3, 1e3))
def test_the_best_token_stays_the_same(row: np.ndarray, temperature: float) -> None:
    logits = torch.from_numpy(row)[None]
    for processor in (EntropyMatchedTemperature(temperature), EntropyMatchedTemperature(entropy=0.5)):
        out = processor(NO_IDS, logits)
        assert torch.equal(out == out.max(), logits == logits.max())


@pytest.mark.parametrize("best", [1e-38, 1e-3, 1.0, 37.2, 3e4])
@pytest.mark.parametrize("temperature", [0.03, 0.59, 0.9, 1.7, 3.0, 1e3])
def test_near_ties_stay_apart(best: float, temperature: float) -> None:
    """A plain division makes two of neighbouring numbers one, and the first of them the choice."""
    top = np.float32(best)
    row = [np.nextafter(top, np.float32(0)), top, np.nextafter(top, np.float32(0)), np.float32(-1)]
    out = EntropyMatchedTemperature(temperature)(NO_IDS, torch.tensor(np.array([row])))
    assert int(out.argmax()) == 1
    assert int((out == out.max()).sum()) == 1


def test_plain_division_would_merge_some_of_them() -> None:
    merged = 0
    for number in np.linspace(1, 2, 1000, dtype=np.float32):
        pair = torch.tensor([[np.nextafter(number, np.float32(0)), number]])
        merged += int((pair / 1.7).argmax()) == 0
        assert int(EntropyMatchedTemperature(1.7)(NO_IDS, pair).argmax()) == 1
    assert merged > 100


def test_impossible_tokens_stay_so() -> None:
    out = EntropyMatchedTemperature(2.0)(NO_IDS, torch.tensor([[1.0, -math.inf, 0.0]]))
    assert out.tolist() == [[0.0, -math.inf, -0.5]]


def test_greedy_text_is_the_same_at_every_temperature_and_samples_are_not() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    contexts = random_ids(3, 8).tolist()
    write = partial(continue_contexts, model, tokenizer, contexts, new_tokens=20)
    plainly, sampled = write(), write(decoding=SAMPLING)
    for processor in (
        EntropyMatchedTemperature(0.05),
        EntropyMatchedTemperature(9),
        EntropyMatchedTemperature(entropy=1),
    ):
        assert write(processors=[processor]) == plainly
        assert write(processors=[processor], decoding=SAMPLING) != sampled
    assert write(processors=[EntropyMatchedTemperature(1e-5)], decoding=SAMPLING) == plainly


def test_every_bad_setting_is_named() -> None:
    with pytest.raises(UserError, match="leave one out") as both:
        EntropyMatchedTemperature(-1.0, entropy=-2.0, coldest=3, hottest=2, steps=0)
    assert len(both.value.problems) == 5
    with pytest.raises(UserError, match="takes one of"):
        EntropyMatchedTemperature()


# The study


def test_base_against_itself_has_a_temperature_of_one() -> None:
    pair = Pair(tiny_model(), tiny_model())
    match = matched_temperature(pair, TEXTS)
    assert match.matched
    assert match.temperature == pytest.approx(1, abs=1e-6)
    assert match.n == 4 * 19
    seen = compared(pair, TEXTS, match.temperature)
    assert seen.agree.all()
    assert seen.matched.all()
    assert seen.temperature == pytest.approx(1, rel=1e-5)
    for values in seen.divergence.values():
        assert values == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("planted", [0.4, 0.59, 2.5])
def test_planted_temperature_is_found(planted: float) -> None:
    pair = Pair(scaled(1.0), scaled(planted))
    match = matched_temperature(pair, TEXTS, skip=3)
    assert match.matched
    assert match.temperature == pytest.approx(planted, rel=1e-4)
    seen = compared(pair, TEXTS, match.temperature, skip=3)
    assert seen.temperature == pytest.approx(planted, rel=1e-3)
    assert seen.divergence["1"].mean() > 0.01
    assert seen.divergence["one"].max() < 1e-4
    assert seen.divergence["each"].max() < 1e-4
    assert seen.agree.all()


def test_positions_are_those_of_a_plain_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 5 positions, that cross texts and batches, against whole logits."""
    pair = Pair(tiny_model(), tiny_model(seed=1))
    whole = compared(pair, TEXTS, 0.7, skip=4)
    monkeypatch.setattr(chunks, "FEWEST_POSITIONS", 5)
    monkeypatch.setattr(chunks, "LOGITS_AT_ONCE", 1)
    pieces = compared(pair, TEXTS, 0.7, skip=4)
    with torch.no_grad():
        base, tuned = (model(input_ids=TEXTS).logits[:, 3:-1].double().numpy() for model in (pair.base, pair.tuned))
    for seen in (whole, pieces):
        assert seen.base_entropy == pytest.approx(scipy_entropy(softmax(base, axis=-1), axis=-1), rel=1e-4)
        assert seen.tuned_entropy == pytest.approx(scipy_entropy(softmax(tuned, axis=-1), axis=-1), rel=1e-4)
        assert (seen.agree == (base.argmax(-1) == tuned.argmax(-1))).all()
        colder = scipy_entropy(softmax(tuned, axis=-1), softmax(base / 0.7, axis=-1), axis=-1)
        assert seen.divergence["one"] == pytest.approx(colder, rel=1e-4)


def test_both_sides_of_an_adapter_predict_as_if_alone() -> None:
    tuned = adapt(tiny_model("gemma2"), Recipe(model="-", data="-", rank=4)).eval()  # its logits are soft-capped
    assert isinstance(tuned, PeftModel)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.5, generator=generator)
    seen = list(chunks.pair_predictions(Pair(None, tuned), texts=TEXTS, skip=2, batch_size=3))
    with torch.no_grad():
        expected = [model(input_ids=TEXTS).logits[:, 1:-1].flatten(0, 1) for model in (tiny_model("gemma2"), tuned)]
    for side, logits in enumerate(expected):
        assert torch.allclose(torch.cat([chunk.logits[side] for chunk in seen]), logits, atol=1e-4)
    assert not torch.allclose(*expected, atol=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("late_blocks", [1, BLOCKS - 1, BLOCKS])
def test_what_both_sides_share_is_computed_once_and_no_bit_changes(family: str, late_blocks: int) -> None:
    pair = adapter_pair(family, late_blocks)
    calls = [0] * BLOCKS
    blocks = blocks_of(inner_model(pair.tuned))
    sides = (partial(pair.side, "base"), partial(pair.side, "tuned"))
    alone = list(chunks.predictions(*sides, texts=TEXTS, skip=2, batch_size=4))
    for index, block in enumerate(blocks):
        real = block.forward
        block.forward = lambda *given, index=index, real=real, **named: (  # type: ignore[assignment]
            calls.__setitem__(index, calls[index] + 1) or real(*given, **named)
        )
    shared = list(chunks.pair_predictions(pair, texts=TEXTS, skip=2, batch_size=4))
    assert calls == [1] * (BLOCKS - late_blocks) + [2] * late_blocks
    for one, other in zip(alone, shared, strict=True):
        assert all(map(torch.equal, one.logits, other.logits))


def test_every_nth_position_is_counted_through_all_texts() -> None:
    def places(**settings: int) -> list[tuple[int, int]]:
        return [
            place
            for chunk in chunks.predictions(chunks.alone(tiny_model()), texts=TEXTS, **settings)
            for place in zip(chunk.text.tolist(), chunk.place.tolist(), strict=True)
        ]

    all_places = [(text, place) for text in range(4) for place in range(6, 20)]
    assert places(skip=6, batch_size=3) == all_places
    for batch_size in (1, 3, 8):
        assert places(skip=6, every=5, batch_size=batch_size) == all_places[::5]


def test_divergence_of_impossible_tokens() -> None:
    log_p = torch.tensor([[0.5, 0.5, 0.0]]).log()
    assert float(divergence(log_p, torch.tensor([[0.25, 0.25, 0.5]]).log())) == pytest.approx(math.log(2))


def test_the_whole_study() -> None:
    pair, texts = Pair(scaled(1.0), scaled(0.5)), random_ids(3, 30)
    counted: list[int] = []
    found = entropy_matching(pair, tiny_tokenizer(), texts, Continuing(context=6), advance=counted.append)
    assert found.identical
    assert (found.texts, found.tokens) == (3, 3 * 24)
    assert sum(counted) == 8 * 3
    assert found.one.temperature == pytest.approx(0.5, rel=1e-4)
    assert found.agreement.value == 1
    assert found.diversity["base/greedy"] == found.diversity["base/greedy at T*"]
    assert found.diversity["base/greedy, T for each"] == found.diversity["hyperfitted/greedy"]
    assert found.tuned_entropy.value < found.base_entropy.value < math.log(VOCABULARY)
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["diversity"]["human"]["ttr"]["value"] is None  # 24 tokens are too few for its window
    assert "identical token by token" in told["sentence"]


def test_continuing_names_bad_settings() -> None:
    with pytest.raises(UserError) as raised:
        Continuing(context=0, new_tokens=0, batch_size=0)
    assert len(raised.value.problems) == 3
    assert Continuing(new_tokens=END + 1).new_tokens == 1
