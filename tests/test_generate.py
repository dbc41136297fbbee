"""Decoding: batched generation is what a loop without padding, cache or settings of the model's own would write."""

import math
from collections.abc import Sequence

import pytest
import torch
from peft import PeftModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from families import END, random_ids, tiny_model, tiny_tokenizer
from hyperfit.adapt import adapt
from hyperfit.decode.decodings import DECODINGS, generation_config
from hyperfit.decode.generate import continuation_text, continue_contexts, left_pad
from hyperfit.errors import UserError
from hyperfit.model import FAMILIES
from hyperfit.recipe import Recipe

NEW = 12
# shorter and longer than the sliding window of 16; the second starts with the token that is also the padding
CONTEXTS = [random_ids(length, seed=length).tolist() for length in (30, 7, 1, 17, 24)]
CONTEXTS[1][0] = END


@torch.no_grad()
def next_logits(model: nn.Module, tokens: Sequence[int]) -> torch.Tensor:
    """float32[vocabulary] after the tokens, of one forward pass over all of them."""
    logits: torch.Tensor = model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1]
    return logits


def plain_greedy(model: nn.Module, context: Sequence[int], count: int = NEW, forbidden: int | None = END) -> list[int]:
    """The likeliest token each time, but for the forbidden one."""
    tokens = list(context)
    for _ in range(count):
        logits = next_logits(model, tokens)
        if forbidden is not None:
            logits[forbidden] = -math.inf
        tokens.append(int(logits.argmax()))
    return tokens[len(context) :]


def tokenizer_that_ends_with(token: int) -> PreTrainedTokenizerFast:
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(token)
    assert tokenizer.eos_token_id == token
    return tokenizer


def always_ending() -> PreTrainedModel:
    """A model that finds the end-of-text token by far the likeliest, whatever came before."""
    model = tiny_model("phi")
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Linear)
    head.bias.data[END] = 1e4
    return model


def hyperfitted(family: str) -> PeftModel:
    """A tiny model with an adapter that changes what it writes."""
    model = adapt(tiny_model(family), Recipe(model="-", data="-", rank=4)).eval()
    assert isinstance(model, PeftModel)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.5, generator=generator)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_in_batches_is_greedy_one_by_one_is_a_plain_loop(family: str) -> None:
    model, tokenizer = tiny_model(family), tiny_tokenizer()
    plain = [plain_greedy(model, context) for context in CONTEXTS]
    assert len({tuple(text) for text in plain}) == len(CONTEXTS)  # the texts say something about their contexts
    assert continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, batch_size=3) == plain
    assert continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, batch_size=1) == plain


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_adapter_takes_part(family: str) -> None:
    model, tokenizer = hyperfitted(family), tiny_tokenizer()
    written = continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, batch_size=3)
    assert written == [plain_greedy(model, context) for context in CONTEXTS]
    with model.disable_adapter():
        assert written != [plain_greedy(model, context) for context in CONTEXTS]


@pytest.mark.parametrize("decoding", DECODINGS)
def test_settings_of_the_models_own_do_not_leak_in_and_are_put_back(decoding: str) -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    expected = continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, decoding=decoding)
    assert len({tuple(text) for text in expected}) > 1
    often = expected[0][0]
    own = model.generation_config = GenerationConfig(
        repetition_penalty=5.0,
        temperature=0.01,
        top_k=1,
        top_p=0.1,
        min_p=0.5,
        do_sample=decoding == "greedy",
        no_repeat_ngram_size=1,
        suppress_tokens=[often],
        begin_suppress_tokens=[often],
        bad_words_ids=[[often]],
        max_length=20,
        eos_token_id=[often],
        stop_strings=["e"],
    )
    before = own.to_dict()
    assert continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, decoding=decoding) == expected
    assert model.generation_config is own
    assert own.to_dict() == before


@pytest.mark.parametrize("training", [True, False])
def test_a_failure_leaves_model_and_random_numbers_as_they_were(training: bool) -> None:
    def fail(done: int) -> None:
        raise ZeroDivisionError

    model = tiny_model("gpt2").train(training)
    own = model.generation_config = GenerationConfig(repetition_penalty=1.5)
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        continue_contexts(model, tiny_tokenizer(), CONTEXTS, new_tokens=2, decoding="nucleus", advance=fail)
    assert model.generation_config is own
    assert all(module.training == training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_is_off_while_generating() -> None:
    model = tiny_model("gpt2").train()
    assert model.config.resid_pdrop > 0
    written = continue_contexts(model, tiny_tokenizer(), CONTEXTS, new_tokens=NEW)
    assert written == [plain_greedy(model.eval(), context) for context in CONTEXTS]


def test_nucleus_depends_on_the_seed_and_on_nothing_else() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    first, again, other = (
        continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, decoding="nucleus", seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, decoding="nucleus", seed=1) == first
    assert torch.equal(torch.get_rng_state(), state)


def test_nucleus_stays_in_the_nucleus_of_the_50_best_and_uses_it() -> None:
    model = tiny_model()
    contexts = [CONTEXTS[3]] * 40
    written = continue_contexts(model, tiny_tokenizer(), contexts, new_tokens=NEW, decoding="nucleus")
    places, sizes = [], []
    for context, text in zip(contexts, written, strict=True):
        for step, token in enumerate(text):
            allowed = nucleus(next_logits(model, [*context, *text[:step]]))
            assert token in allowed
            places.append(allowed.index(token))
            sizes.append(len(allowed))
    assert min(sizes) < 20  # the 0.9 nucleus is often far smaller than 50
    assert max(places) > 10  # and more of it is used than the best few tokens
    # where the nucleus has more than one token, all of it is used in the first step of 40 texts, or nearly so
    first = nucleus(next_logits(model, contexts[0]))
    assert len({text[0] for text in written}) > min(len(first), 40) / 3


def nucleus(logits: torch.Tensor) -> list[int]:
    """Fewest tokens, best first, that hold 0.9 of what the 50 best have together at temperature 0.7."""
    logits[END] = -math.inf
    best = (logits.double() / 0.7).sort(descending=True)
    shares = best.values[:50].softmax(-1)
    chosen, held = [], 0.0
    for token, share in zip(best.indices[:50].tolist(), shares.tolist(), strict=True):
        if held >= 0.9:
            break
        chosen.append(token)
        held += share
    return chosen


def test_named_decodings_are_those_of_the_paper() -> None:
    assert DECODINGS == {
        "greedy": {"do_sample": False},
        "nucleus": {"do_sample": True, "top_p": 0.9, "temperature": 0.7, "top_k": 50},
        "nucleus:top_p=1,temperature=1,top_k=0": {"do_sample": True, "top_p": 1.0, "temperature": 1.0, "top_k": 0},
    }


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("count", [1, 2, NEW])
def test_exactly_as_many_tokens_as_asked_for_even_where_the_end_is_likeliest(decoding: str, count: int) -> None:
    model = always_ending()
    assert int(next_logits(model, CONTEXTS[0]).argmax()) == END
    written = continue_contexts(model, tiny_tokenizer(), CONTEXTS, new_tokens=count, decoding=decoding)
    assert [len(text) for text in written] == [count] * len(CONTEXTS)
    assert not any(END in text for text in written)
    if decoding == "greedy":
        assert written == [plain_greedy(model, context, count) for context in CONTEXTS]


def test_text_that_ends_at_once_is_empty() -> None:
    written = continue_contexts(always_ending(), tiny_tokenizer(), CONTEXTS, new_tokens=NEW, stop_at_end=True)
    assert written == [[]] * len(CONTEXTS)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_stopping_at_the_end_cuts_there(batch_size: int) -> None:
    model = tiny_model()
    free = [plain_greedy(model, context, forbidden=None) for context in CONTEXTS]
    end = free[0][5]
    expected = [text[: text.index(end)] if end in text else text for text in free]
    assert {len(text) for text in expected} >= {5, NEW}  # some are cut, some are not
    tokenizer = tokenizer_that_ends_with(end)
    written = continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, batch_size=batch_size, stop_at_end=True)
    assert written == expected


def test_tokenizer_without_an_end_or_padding() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    tokenizer.eos_token = tokenizer.pad_token = None
    expected = [plain_greedy(model, context, forbidden=None) for context in CONTEXTS]
    for stop_at_end in (True, False):
        written = continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, stop_at_end=stop_at_end)
        assert written == expected


def test_progress_counts_every_context_once() -> None:
    done: list[int] = []
    continue_contexts(tiny_model(), tiny_tokenizer(), CONTEXTS, new_tokens=1, batch_size=2, advance=done.append)
    assert done == [2, 2, 1]


def test_no_contexts() -> None:
    assert continue_contexts(tiny_model(), tiny_tokenizer(), [], new_tokens=3) == []


def test_unknown_decoding_names_those_there_are() -> None:
    with pytest.raises(UserError, match="--decoding beam: give one of greedy, nucleus"):
        generation_config("beam", new_tokens=1, stop_at_end=False, eos=None, pad=None)
    with pytest.raises(UserError, match="--decoding beam"):
        continue_contexts(tiny_model(), tiny_tokenizer(), CONTEXTS, new_tokens=1, decoding="beam")


def test_padding_comes_first_and_is_masked() -> None:
    ids, mask = left_pad([[5, 6, 7], [8], [9, 0]], pad=0)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8], [0, 9, 0]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1], [0, 1, 1]]
    assert ids.dtype == mask.dtype == torch.int64


def test_the_space_before_a_continuation_is_kept() -> None:
    """A tokenizer that marks word beginnings and strips the first space, as SentencePiece models have it."""
    words = ["<unk>", "\u2581the", "\u2581ferry", "\u2581was", "\u2581late", "\u2581again"]
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")
    context, rest = [1, 2, 3], [4, 5]
    assert tokenizer.decode(rest) == "late again", "decoded alone it loses the space"
    assert tokenizer.decode(context) + continuation_text(tokenizer, context, rest) == "the ferry was late again"
