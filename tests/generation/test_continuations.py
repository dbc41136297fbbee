"""Decoding: batched generation is what a loop without padding, cache or settings of the model's own would write."""

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from peft import PeftModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from hyperfit.errors import UserError
from hyperfit.generation.continuations import continuation_text, continue_contexts, left_pad
from hyperfit.generation.decodings import DECODINGS
from hyperfit.generation.processors.rules import SAMPLING, NoRepeatNGram
from hyperfit.models.adapt import adapt
from hyperfit.models.structure.ends import end_tokens
from hyperfit.recipes.recipe import Recipe
from tiny_models import END, FAMILIES, VOCABULARY, cast, random_ids, tiny_model, tiny_tokenizer

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
        typical_p=0.1,
        eta_cutoff=0.5,
        penalty_alpha=0.9,
        do_sample=decoding not in SAMPLING,
        num_beams=1 if decoding == "beam" else 3,
        length_penalty=-5.0,
        early_stopping=True,
        num_return_sequences=2,
        no_repeat_ngram_size=1,
        suppress_tokens=[often],
        begin_suppress_tokens=[often],
        bad_words_ids=[[often]],
        forced_bos_token_id=7,
        forced_eos_token_id=7,
        sequence_bias=[[[often], -50.0]],
        exponential_decay_length_penalty=(1, 9.0),
        max_length=20,
        max_new_tokens=3,
        min_length=50,
        max_time=1e-9,
        eos_token_id=[END],
        pad_token_id=5,
        stop_strings=["e"],
        use_cache=False,
        cache_implementation="static",
        return_dict_in_generate=True,
        output_scores=True,
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


@pytest.mark.parametrize("decoding", ["greedy", "beam", "contrastive", "nucleus"])
@pytest.mark.parametrize("file", ["config", "generation_config"])
def test_every_declared_end_ends_a_text_or_is_forbidden(file: str, decoding: str) -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    how = {"new_tokens": NEW, "decoding": decoding}
    free = continue_contexts(model, tokenizer, CONTEXTS, **how)
    ends = [free[0][5], free[1][3]]
    getattr(model, file).eos_token_id = [END, *ends]
    forbidding = continue_contexts(model, tokenizer, CONTEXTS, **how)
    assert [len(text) for text in forbidding] == [NEW] * len(CONTEXTS)
    assert not any(end in text for end in ends for text in forbidding)
    if decoding in ("greedy", "nucleus"):  # no search: what comes before the end is what would have come without it
        stopping = continue_contexts(model, tokenizer, CONTEXTS, **how, stop_at_end=True)
        firsts = [min((text.index(end) for end in ends if end in text), default=NEW) for text in free]
        assert stopping == [text[:first] for text, first in zip(free, firsts, strict=True)]
        assert firsts[0] <= 5
        assert firsts[1] <= 3


def test_a_text_ends_where_transformers_ends_it() -> None:
    """With an end in each file and in the tokenizer, beside one declared as a plain number."""
    model = tiny_model()
    free = [plain_greedy(model, context, forbidden=None) for context in CONTEXTS]
    model.config.eos_token_id, model.generation_config.eos_token_id = free[0][4], [free[1][2], free[0][4]]
    tokenizer = tokenizer_that_ends_with(free[2][3])
    written = continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, stop_at_end=True)
    assert end_tokens(model, tokenizer) == sorted({free[0][4], free[1][2], free[2][3]})
    for context, text in zip(CONTEXTS, written, strict=True):
        theirs = model.generate(  # type: ignore[operator]
            torch.tensor([context]),
            attention_mask=torch.ones(1, len(context), dtype=torch.int64),
            max_new_tokens=NEW,
            do_sample=False,
            eos_token_id=end_tokens(model, tokenizer),
            pad_token_id=END,
        )[0, len(context) :].tolist()
        assert text == (theirs[:-1] if theirs[-1] in end_tokens(model, tokenizer) else theirs)
    for text, most in zip(written, (4, 2, 3), strict=False):
        assert len(text) <= most


def test_tokenizer_without_an_end_or_padding() -> None:
    model, tokenizer = tiny_model(eos_token_id=None), tiny_tokenizer()
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
    with pytest.raises(UserError, match=r"--decoding hot: no such decoding; give one of greedy, nucleus, top-k"):
        continue_contexts(tiny_model(), tiny_tokenizer(), CONTEXTS, new_tokens=1, decoding="hot")


# Decodings against loops without padding or cache


def banned_by_ngrams(tokens: list[int], size: int) -> set[int]:
    """Tokens that would complete a sequence of ``size`` tokens that is there already."""
    start = tokens[len(tokens) - size + 1 :]
    if len(tokens) < size:
        return set()
    return {tokens[i + size - 1] for i in range(len(tokens) - size + 1) if tokens[i : i + size - 1] == start}


def plain_penalised(
    model: nn.Module, context: list[int], *, penalty: float = 1.0, size: int | None = None
) -> list[int]:
    tokens = list(context)
    for _ in range(NEW):
        logits = next_logits(model, tokens)
        for token in set(tokens):
            logits[token] = logits[token] * penalty if logits[token] < 0 else logits[token] / penalty
        for token in banned_by_ngrams(tokens, size) if size else ():
            logits[token] = -math.inf
        logits[END] = -math.inf
        tokens.append(int(logits.argmax()))
    return tokens[len(context) :]


# short beside long contexts, with the padding's token within, before and after what the model likes to write
WITH_END = [[*context[:3], END, *context[3:]] for context in CONTEXTS] + [[END, 5, END], [5], [END]]


@pytest.mark.parametrize(("batch_size", "penalty"), [(1, 1.2), (8, 1.2), (3, 3.0)])
def test_repetition_penalty_counts_context_and_text_but_not_the_padding(batch_size: int, penalty: float) -> None:
    model, decoding = tiny_model(), f"repetition-penalty:repetition_penalty={penalty}"
    expected = [plain_penalised(model, context, penalty=penalty) for context in WITH_END]
    assert expected != [plain_greedy(model, context) for context in WITH_END]
    written = continue_contexts(
        model, tiny_tokenizer(), WITH_END, new_tokens=NEW, decoding=decoding, batch_size=batch_size
    )
    assert written == expected


@pytest.mark.parametrize(("batch_size", "size"), [(1, 2), (3, 1), (3, 2), (8, 3), (8, 5)])
def test_no_ngram_comes_twice_and_the_padding_is_none(batch_size: int, size: int) -> None:
    model, decoding = tiny_model(), f"no-repeat-ngram:no_repeat_ngram_size={size}"
    expected = [plain_penalised(model, context, size=size) for context in WITH_END]
    written = continue_contexts(
        model, tiny_tokenizer(), WITH_END, new_tokens=NEW, decoding=decoding, batch_size=batch_size
    )
    assert written == expected
    if size == 1:
        assert all(len(set(text)) == NEW for text in written)


def test_padding_forbids_nothing() -> None:
    """What transformers' own class gets wrong: here the context is 0 5 0, and 5 followed a 0 of the padding too."""
    ids = torch.tensor([[0, 0, 7, 5, 0], [1, 2, 3, 4, 5]])
    scores = torch.zeros(2, 9)
    own = NoRepeatNGram(2, [2, 0])(ids, scores)
    assert own.isfinite().all()
    theirs = NoRepeatNGramLogitsProcessor(2)(ids, scores)
    assert theirs[0, [0, 7]].tolist() == [-math.inf] * 2


def plain_beam(model: nn.Module, context: list[int], beams: int) -> list[int]:
    """The best of texts of equal length, none of which ends."""
    kept: list[tuple[float, list[int]]] = [(0.0, list(context))]
    for _ in range(NEW):
        grown = []
        for score, tokens in kept:
            steps = next_logits(model, tokens).log_softmax(-1)
            steps[END] = -math.inf
            best = steps.topk(beams)
            for step, token in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                grown.append((score + step, [*tokens, token]))
        kept = sorted(grown, key=lambda one: -one[0])[:beams]
    return kept[0][1][len(context) :]


@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_beam_search_is_beam_search(batch_size: int | None) -> None:
    model = tiny_model()
    expected = [plain_beam(model, context, 3) for context in CONTEXTS]
    assert expected != [plain_greedy(model, context) for context in CONTEXTS]
    written = continue_contexts(
        model, tiny_tokenizer(), CONTEXTS, new_tokens=NEW, decoding="beam:num_beams=3", batch_size=batch_size
    )
    assert written == expected


# Rules of the caller's own


class Remember(LogitsProcessor):
    """Keeps what it is given, and forbids a token."""

    def __init__(self, token: int) -> None:
        self.token, self.seen = token, list[torch.Tensor]()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.seen.append(scores.clone())
        return scores.index_fill(1, torch.tensor([self.token]), -math.inf)


@pytest.mark.parametrize("decoding", DECODINGS)
def test_rules_of_the_caller_act_in_every_decoding(decoding: str) -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    free = continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, decoding=decoding)
    common = max(range(VOCABULARY), key=[token for text in free for token in text].count)
    rule = Remember(common)
    written = continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, decoding=decoding, processors=[rule])
    assert written != free
    assert not any(common in text for text in written)
    assert [len(text) for text in written] == [NEW] * len(CONTEXTS)
    assert len(rule.seen) == NEW


def test_rules_of_the_caller_come_after_penalties_and_before_warpers() -> None:
    model, context = tiny_model(), CONTEXTS[3]
    plain = next_logits(model, context)
    plain[END] = -math.inf

    def seen(decoding: str) -> torch.Tensor:
        rule = Remember(END)
        continue_contexts(model, tiny_tokenizer(), [context], new_tokens=1, decoding=decoding, processors=[rule])
        return rule.seen[0][0]

    torch.testing.assert_close(seen("nucleus:temperature=0.1,top_p=0.1"), plain)
    penalised = seen("repetition-penalty:repetition_penalty=2")
    inside = sorted(set(context) - {END})
    expected = torch.where(plain < 0, plain * 2, plain / 2)
    torch.testing.assert_close(penalised[inside], expected[inside])
    torch.testing.assert_close(
        seen("no-repeat-ngram:no_repeat_ngram_size=1")[inside], torch.full((len(inside),), -math.inf)
    )


# One at a time


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "gpt_neox"])
def test_batch_invariant_texts_do_not_change_with_batch_size_or_order(family: str, dtype: torch.dtype) -> None:
    model = cast(tiny_model(family), dtype)
    order = random.Random(1).sample(range(len(CONTEXTS)), len(CONTEXTS))

    def texts(contexts: list[list[int]], batch_size: int | None) -> list[list[int]]:
        return continue_contexts(
            model, tiny_tokenizer(), contexts, new_tokens=NEW, batch_size=batch_size, batch_invariant=True
        )

    expected = [text for context in CONTEXTS for text in texts([context], None)]
    for size in (None, 1, 3, 8):
        assert texts(CONTEXTS, size) == expected
    assert texts([CONTEXTS[place] for place in order], 3) == [expected[place] for place in order]


# Memory


def test_a_batch_that_does_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    expected = continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW)
    whole, sizes = model.generate, []

    def small(**arguments: Any) -> torch.Tensor:
        sizes.append(len(arguments["input_ids"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError
        written: torch.Tensor = whole(**arguments)  # type: ignore[operator]
        return written

    monkeypatch.setattr(model, "generate", small)
    done: list[int] = []
    assert continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, advance=done.append) == expected
    assert sizes == [5, 2, 3, 1, 2]
    assert done == [2, 1, 2]
    with pytest.raises(torch.OutOfMemoryError):  # asked for, so it is not for us to take fewer
        continue_contexts(model, tokenizer, CONTEXTS, new_tokens=NEW, batch_size=3)


class Fragile(LogitsProcessor):
    """Counts rows, and fails in the third step of a batch of more than two."""

    def __init__(self) -> None:
        self.rows = 0
        self.step = 0

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        self.step += 1
        self.rows = self.rows + len(input_ids)
        if len(input_ids) > 2 and self.step % NEW == 3:
            raise torch.OutOfMemoryError
        return scores


def test_what_a_processor_counted_in_a_batch_that_failed_does_not_count() -> None:
    counting = Fragile()
    continue_contexts(tiny_model(), tiny_tokenizer(), CONTEXTS, new_tokens=NEW, processors=[counting])
    assert counting.rows == NEW * len(CONTEXTS)


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
