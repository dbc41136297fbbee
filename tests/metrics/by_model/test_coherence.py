"""Coherence: log-probabilities added up by hand, and where a continuation begins, counted in bytes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hyperfit.errors import UserError
from hyperfit.metrics.by_model.coherence import coherence, coherence_under, tokens_and_start
from hyperfit.models.loading import load_tokenizer
from tiny_models import save_tiny, tiny_model, tiny_tokenizer
from tiny_tokenizers import BEGIN, SENTENCES, tiny_bpe

CONTEXTS = ["The harbour master", "Nobody would sell her", "It rained on", "Two brothers"]
CONTINUATIONS = [" counted nine boats at dusk.", " the", "", " repaired clocks, and neither was on time"]


@torch.no_grad()
def by_hand(model: PreTrainedModel, ids: list[int], start: int) -> float:
    """Mean log-probability of the tokens from ``start`` on, one after the other."""
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()
    chances = [float(logits[t - 1].softmax(-1)[ids[t]]) for t in range(start, len(ids))]
    return sum(map(math.log, chances)) / len(chances) if chances else math.nan


@pytest.mark.parametrize("family", ["opt", "llama", "gemma2"])
@pytest.mark.parametrize("begins", [True, False])
def test_is_the_mean_log_probability(family: str, begins: bool) -> None:
    model, tokenizer = tiny_model(family, vocab_size=300), tiny_bpe(begins=begins)
    done: list[int] = []
    found = coherence_under(model, tokenizer, CONTEXTS, CONTINUATIONS, batch_size=3, advance=done.append)
    for value, context, continuation in zip(found, CONTEXTS, CONTINUATIONS, strict=True):
        # each continuation begins with a space, before which this tokenizer always cuts
        start = len(tokenizer(context)["input_ids"])
        expected = by_hand(model, tokenizer(context + continuation)["input_ids"], start)
        assert value == pytest.approx(expected, rel=1e-5, nan_ok=True)
    assert np.isnan(found).tolist() == [False, False, True, False]
    assert (found[[0, 1, 3]] < 0).all()
    assert sum(done) == 4


def test_an_empty_context_leaves_out_what_nothing_precedes() -> None:
    model = tiny_model(vocab_size=300)
    for begins in (True, False):
        tokenizer = tiny_bpe(begins=begins)
        ids = tokenizer("neither of them")["input_ids"]
        found = coherence_under(model, tokenizer, [""], ["neither of them"])
        assert found == pytest.approx([by_hand(model, ids, 1)], rel=1e-5)


pieces = st.text(st.sampled_from("abe hrt.\n é漢🙂"), max_size=12)


@given(pieces, pieces, st.booleans(), st.booleans())
def test_a_continuation_begins_where_its_bytes_do(context: str, continuation: str, begins: bool, trims: bool) -> None:
    tokenizer = tiny_bpe(begins=begins)
    if trims and not begins:  # as GPT-2's does: offsets without the spaces of a token
        tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    ids, start = tokens_and_start(tokenizer, context, continuation)
    assert ids == tokenizer(context + continuation)["input_ids"]
    # every letter of a byte-level token is one byte
    sizes = [0 if token == BEGIN else len(token) for token in tokenizer.convert_ids_to_tokens(ids)]
    assert sum(sizes) == len((context + continuation).encode())
    reached = np.cumsum(sizes) > len(context.encode())
    assert start == (int(reached.argmax()) if reached.any() else len(ids))


def merging_tokenizer(*, ends: bool) -> PreTrainedTokenizerFast:
    """Knows a, b, c and the piece "bc"; with ``ends`` it puts a token after every text."""
    core = Tokenizer(models.BPE(vocab={"<e>": 0, "a": 1, "b": 2, "c": 3, "bc": 4}, merges=[("b", "c")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    if ends:
        core.post_processor = processors.TemplateProcessing(single="$A <e>", special_tokens=[("<e>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<e>")


@pytest.mark.parametrize("ends", [False, True])
def test_a_token_across_the_boundary_is_the_continuations(ends: bool) -> None:
    tokenizer = merging_tokenizer(ends=ends)
    assert tokens_and_start(tokenizer, "ab", "ca") == ([1, 4, 1], 1)
    assert tokens_and_start(tokenizer, "aa", "ba") == ([1, 1, 2, 1], 2)
    assert tokens_and_start(tokenizer, "", "a") == ([1], 0)


def test_tokens_put_at_the_end_are_not_scored() -> None:
    model = tiny_model()
    with_end, without = (
        coherence_under(model, merging_tokenizer(ends=ends), ["ab"], ["acb"]) for ends in (True, False)
    )
    assert with_end.tolist() == without.tolist()
    assert np.isnan(coherence_under(model, merging_tokenizer(ends=True), ["ab"], [""])).all()


def test_a_scorer_by_name(tmp_path: Path) -> None:
    folder = str(save_tiny(tmp_path / "scorer", "opt"))
    found = coherence(CONTEXTS, CONTINUATIONS, scorer=folder, device="cpu")
    model, tokenizer = tiny_model("opt"), tiny_tokenizer()
    assert found == pytest.approx(coherence_under(model, tokenizer, CONTEXTS, CONTINUATIONS), nan_ok=True)
    rough = coherence(CONTEXTS, CONTINUATIONS, scorer=folder, device="cpu", precision="bf16")
    assert rough == pytest.approx(found, rel=0.05, nan_ok=True)
    assert (rough[[0, 1, 3]] != found[[0, 1, 3]]).all()


def test_text_that_follows_scores_better_than_text_that_does_not() -> None:
    contexts = ["Once upon a time there was a little girl who lived in a", "He opened the door and went into the"]
    right = coherence(contexts, [" house in the forest.", " room."], scorer="builtin:tiny", device="cpu")
    wrong = coherence(contexts, [" forest house the in.", " of."], scorer="builtin:tiny", device="cpu")
    assert (right > wrong).all()


def test_the_embedded_tokenizer_puts_a_token_in_front() -> None:
    tokenizer = load_tokenizer("builtin:tiny")
    for sentence in SENTENCES:
        ids, start = tokens_and_start(tokenizer, "", sentence)
        assert start == 1
        assert ids == tokenizer(sentence)["input_ids"]


def test_what_is_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError) as caught:
        coherence(["a"], ["b"], scorer=str(tmp_path / "nothing"), device="meta")
    assert len(caught.value.problems) == 2
    with pytest.raises(UserError, match="65 tokens of the scorer, which knows 64 positions"):
        coherence_under(tiny_model(), tiny_tokenizer(), ["a" * 30], ["b" * 35])
    with pytest.raises(ValueError, match="1 contexts and 2 continuations"):
        coherence_under(tiny_model(), tiny_tokenizer(), ["a"], ["b", "c"])

    class Slow:
        name_or_path = "old"

        def __call__(self, text: str, **asked: bool) -> None:
            raise NotImplementedError("return_offset_mapping is not available when using Python tokenizers")

    with pytest.raises(UserError, match="old: its tokenizer does not tell where"):
        tokens_and_start(Slow(), "a", "b")  # type: ignore[arg-type]


def test_nothing_to_score() -> None:
    assert coherence_under(tiny_model(), tiny_tokenizer(), [], []).tolist() == []
