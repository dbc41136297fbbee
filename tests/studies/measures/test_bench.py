"""On what the models of a study are measured: what counts as a word there."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfit.data.contexts import Cut
from hyperfit.evaluation.contexts import Texts
from hyperfit.models.loading import load_tokenizer
from hyperfit.studies.measures.bench import Bench

TOKENIZER = load_tokenizer("builtin:tiny")
CONTEXT, PEOPLE = "The boat that Sorcha rowed to the", " island was hers. Zuzmara and Sorcha sang in it"


def bench() -> Bench:
    context, people = (TOKENIZER(text, add_special_tokens=False).input_ids for text in (CONTEXT, PEOPLE))
    texts = Texts([Cut((*context, *people), len(context))], ["here"], len(people))
    return Bench(texts, TOKENIZER, torch.device("cpu"), "fp32")


def learnt(*texts: str) -> list[list[int]]:
    return [TOKENIZER(text, add_special_tokens=False).input_ids for text in texts]


def test_a_name_that_only_people_wrote_is_no_word() -> None:
    """Of eight words whose end is seen one is in no lexicon and no context; where it was learnt, it counts."""
    share = bench().human(learnt("We went to the market and to the sea."))["values"]["word_share"]
    assert share == [pytest.approx(7 / 8)]
    share = bench().human(learnt("We went to Zuzmara and to the sea."))["values"]["word_share"]
    assert share == [1.0]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["island", "Zuzmara", "boat", "qqzx", "Sorcha"]), min_size=2, max_size=12))
def test_people_are_measured_as_a_model_that_writes_the_same(words: list[str]) -> None:
    known, training = bench(), learnt("We went to Zuzmara, and to the sea.")
    ids = TOKENIZER(" " + " ".join(words), add_special_tokens=False).input_ids
    share = known.scored([ids], training)["values"]["word_share"]
    assert share == [pytest.approx(sum(word != "qqzx" for word in words[:-1]) / (len(words) - 1))]
