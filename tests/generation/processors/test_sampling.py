"""Sampling: exact draws, numbers that belong to a text, and processors that work in anyone's ``model.generate``."""

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from hyperfit.generation.continuations import continue_contexts, left_pad
from hyperfit.generation.decodings import parse_decoding
from hyperfit.generation.processors.rules import SAMPLING, warpers
from hyperfit.generation.processors.sampling import SeededSampling, draw, sample_numbers, uniform_numbers
from tiny_models import END, VOCABULARY, random_ids, tiny_model, tiny_tokenizer

NEW = 12
CONTEXTS = [random_ids(length, seed=length).tolist() for length in (30, 7, 1, 17, 24)]
CONTEXTS[1][0] = END
CPU = torch.device("cpu")
NUMBERS_OF_1_2_3 = [0.20487343940561353, 0.10484202162772116, 0.5933402578706727]

# The numbers


def test_numbers_stay_what_they_are() -> None:
    """As committed: another version, machine or device must not change anybody's samples."""
    numbers = uniform_numbers([1, 2, 3], 3, seed=0, number=0)
    assert numbers.tolist() == NUMBERS_OF_1_2_3


def test_numbers_belong_to_seed_context_and_number() -> None:
    first = uniform_numbers([1, 2, 3], 8, seed=0, number=0)
    assert first[:5].tolist() == uniform_numbers([1, 2, 3], 5, seed=0, number=0).tolist()
    others = [
        uniform_numbers(context, 8, seed=seed, number=number)
        for context, seed, number in (
            ([1, 2, 3], 1, 0),
            ([1, 2, 3], 0, 1),
            ([1, 2], 0, 0),
            ([12, 3], 0, 0),
            ([1, 23], 0, 0),
            ([], 1, 23),
            ([2, 3], 0, 1),
        )
    ]
    assert len({tuple(row) for row in (first, *others)}) == 8
    huge = uniform_numbers([2**62], 4, seed=2**63 - 1, number=2**40)
    assert ((huge >= 0) & (huge < 1)).all()


def test_numbers_are_uniform_and_independent() -> None:
    table = np.stack([uniform_numbers([k], 64, seed=0, number=0) for k in range(400)])
    assert stats.kstest(table.ravel(), "uniform").pvalue > 0.01
    assert abs(np.corrcoef(table[:-1].ravel(), table[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(table[:, :-1].ravel(), table[:, 1:].ravel())[0, 1]) < 0.02


def test_samples_of_equal_contexts_are_counted() -> None:
    assert sample_numbers([[1, 2], [3], [1, 2], (1, 2), [3], [2, 1]]) == [0, 0, 1, 2, 1, 0]  # type: ignore[list-item]


# The draw


@given(
    logits=st.lists(st.floats(-30, 30) | st.just(-math.inf), min_size=1, max_size=40).filter(
        lambda row: max(row) > -math.inf
    ),
    uniform=st.floats(0, 1, exclude_max=True),
)
def test_the_draw_inverts_the_distribution_function(logits: list[float], uniform: float) -> None:
    scores = torch.tensor([logits])
    token = int(draw(scores, torch.tensor([uniform], dtype=torch.float64)))
    shares = scores[0].double().softmax(-1).tolist()
    assert shares[token] > 0
    assert math.fsum(shares[:token]) <= uniform + 1e-12
    assert uniform <= math.fsum(shares[: token + 1]) + 1e-12


@pytest.mark.parametrize("uniform", [0.0, 0.25, np.nextafter(0.5, 0), 0.5, np.nextafter(1, 0)])
def test_draws_by_hand(uniform: float) -> None:
    scores = torch.tensor([[-math.inf, 0.0, -math.inf, 0.0, -math.inf]])
    token = int(draw(scores, torch.tensor([uniform], dtype=torch.float64)))
    assert token == (1 if uniform < 0.5 else 3)


def test_draws_follow_softmax() -> None:
    """Chi-square over 20,000 draws, for our numbers and for torch.multinomial; the seeds are fixed."""
    logits = torch.tensor([2.0, -math.inf, 1.0, 0.0, 0.0, -1.0, 0.5, -4.0])
    count = 20_000
    uniform = torch.from_numpy(uniform_numbers([5], count, seed=3, number=0))
    ours = torch.bincount(draw(logits.expand(count, -1), uniform), minlength=8)
    generator = torch.Generator().manual_seed(0)
    theirs = torch.bincount(logits.softmax(-1).multinomial(count, True, generator=generator), minlength=8)
    expected = logits.double().softmax(-1) * count
    possible = expected > 0
    assert ours[~possible].sum() == theirs[~possible].sum() == 0
    for seen in (ours, theirs):
        assert stats.chisquare(seen[possible], expected[possible]).pvalue > 0.01
    assert stats.chi2_contingency(torch.stack([ours, theirs])[:, possible]).pvalue > 0.01


def test_a_large_vocabulary_is_drawn_from_to_its_end() -> None:
    """Among 200,000 equal tokens a sum in float32 would leave out thousands."""
    scores = torch.zeros(1, 200_000)
    for token in (0, 99_999, 199_999):
        assert int(draw(scores, torch.tensor([(token + 0.5) / 200_000], dtype=torch.float64))) == token


# In anyone's generate


def test_in_a_plain_generate_by_someone_who_imports_only_the_class() -> None:
    model = tiny_model(eos_token_id=None)
    contexts = [CONTEXTS[0], CONTEXTS[1], CONTEXTS[3]]
    ids, mask = left_pad(contexts, END)
    config = GenerationConfig(max_new_tokens=NEW, do_sample=False, eos_token_id=None, pad_token_id=END)

    def write(seed: int, **more: Any) -> list[list[int]]:
        rules = LogitsProcessorList([SeededSampling(contexts, new_tokens=NEW, seed=seed)])
        config.update(**more)
        output = model.generate(  # type: ignore[operator]
            input_ids=ids, attention_mask=mask, generation_config=config, logits_processor=rules
        )
        rows: list[list[int]] = output[:, ids.shape[1] :].tolist()
        return rows

    free = write(1)
    assert free == write(1) == write(1, do_sample=True)  # one token is left, so even a draw draws it
    assert free != write(2, do_sample=False)
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = None
    ours = continue_contexts(
        model, tokenizer, contexts, new_tokens=NEW, decoding="nucleus:top_p=1,top_k=0,temperature=1", seed=1
    )
    assert ours == free


def test_use_with_other_contexts_is_refused() -> None:
    rule = SeededSampling([[1, 2], [3]], new_tokens=2)
    scores = torch.zeros(2, 9)
    assert rule(torch.zeros(2, 2, dtype=torch.int64), scores).isfinite().sum(-1).tolist() == [1, 1]
    for rows, width in ((1, 2), (2, 1), (2, 4)):
        with pytest.raises(ValueError, match="made for 2 contexts padded to 2 tokens and 2 new ones"):
            rule(torch.zeros(rows, width, dtype=torch.int64), scores[:rows])


@pytest.mark.parametrize(
    "spelling", [*SAMPLING, "nucleus:top_p=0.5,top_k=0", "typical:typical_p=1", "eta:temperature=2"]
)
def test_warpers_are_those_of_transformers_in_its_order(spelling: str) -> None:
    """Against what ``generate`` itself builds from the same settings."""
    decoding, model = parse_decoding(spelling), tiny_model()
    config = GenerationConfig(**{"top_k": 0, **decoding.settings}, do_sample=True, max_new_tokens=1)
    theirs: Any = model._get_logits_processor(config, 1, device="cpu")  # type: ignore[operator]
    ours = warpers(decoding, CPU)
    assert [type(rule) for rule in ours] == [type(rule) for rule in theirs]
    ids = torch.ones(6, 1, dtype=torch.int64)
    scores = torch.randn(6, VOCABULARY, generator=torch.Generator().manual_seed(0)) * 3
    scores[:, :9] = -math.inf
    assert torch.equal(LogitsProcessorList(ours)(ids, scores), theirs(ids, scores))


# A text and its neighbours


@pytest.mark.parametrize("decoding", SAMPLING)
def test_a_text_does_not_depend_on_its_neighbours(decoding: str) -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()

    def write(contexts: list[list[int]], batch_size: int | None = None, seed: int = 5) -> list[list[int]]:
        return continue_contexts(
            model, tokenizer, contexts, new_tokens=NEW, decoding=decoding, seed=seed, batch_size=batch_size
        )

    together = write(CONTEXTS)
    assert together != write(CONTEXTS, seed=6)
    for size in (1, 2, 3):
        assert write(CONTEXTS, size) == together
    order = random.Random(0).sample(range(len(CONTEXTS)), len(CONTEXTS))
    assert write([CONTEXTS[place] for place in order], 2) == [together[place] for place in order]
    assert write(CONTEXTS[2:4]) == together[2:4]
    state = torch.get_rng_state()
    torch.manual_seed(99)
    assert write([CONTEXTS[0]]) == together[:1]
    torch.set_rng_state(state)


def test_samples_of_one_context() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    one, other = CONTEXTS[3], CONTEXTS[1]

    def write(contexts: list[list[int]]) -> list[list[int]]:
        return continue_contexts(model, tokenizer, contexts, new_tokens=NEW, decoding="nucleus", batch_size=2)

    three = write([one, one, one])
    assert len({tuple(text) for text in three}) == 3
    mixed = write([other, one, other, one])
    assert [mixed[1], mixed[3]] == three[:2]
    assert write([one]) == three[:1]


def test_a_shorter_text_is_the_beginning_of_a_longer_one() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    short, long = (
        continue_contexts(model, tokenizer, CONTEXTS, new_tokens=count, decoding="min-p") for count in (5, NEW)
    )
    assert short == [text[:5] for text in long]


def test_texts_are_distributed_as_those_of_transformers() -> None:
    """First tokens of 3,000 texts from either sampler, compared by chi-square; the seeds are fixed."""
    model, count = tiny_model(), 3000
    context = CONTEXTS[1]
    ours = continue_contexts(model, tiny_tokenizer(), [context] * count, new_tokens=1, decoding="nucleus:top_k=12")
    config = GenerationConfig(
        max_new_tokens=1, min_new_tokens=1, do_sample=True, top_k=12, top_p=0.9, temperature=0.7,
        eos_token_id=END, pad_token_id=END, num_return_sequences=count,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = model.generate(input_ids=torch.tensor([context]), generation_config=config)  # type: ignore[operator]
    seen = np.stack([np.bincount(np.ravel(tokens), minlength=VOCABULARY) for tokens in (ours, theirs[:, -1].numpy())])
    common = seen[:, seen.sum(0) >= 20]
    assert common.shape[1] >= 4
    assert common.sum() >= 0.99 * seen.sum()
    assert stats.chi2_contingency(common).pvalue > 0.01


class Shout(LogitsProcessor):
    """Would make one token certain, if it came before the draw."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores.index_fill(1, torch.tensor([7]), 1e4)


def test_the_draw_comes_last() -> None:
    written = continue_contexts(
        tiny_model(), tiny_tokenizer(), CONTEXTS, new_tokens=3, decoding="nucleus", processors=[Shout()]
    )
    assert written == [[7] * 3] * len(CONTEXTS)
