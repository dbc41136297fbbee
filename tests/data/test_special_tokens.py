"""What a tokenizer adds to a text: kept once in front, left out behind."""

import pytest
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from hyperfit.data.corpus import packed
from hyperfit.data.reading.sources import Document
from hyperfit.data.special_tokens import added_tokens, token_ids
from tiny_tokenizers import BEGIN, END, tiny_bpe


def adding(template: str) -> PreTrainedTokenizerFast:
    """The tiny tokenizer with what it puts around a text, $A."""
    tokenizer = tiny_bpe(begins=False)
    own = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (BEGIN, END)]
    core = tokenizer.backend_tokenizer
    core.post_processor = processors.TemplateProcessing(single=template, special_tokens=own)
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=BEGIN, eos_token=END)


@pytest.mark.parametrize(
    ("template", "front", "behind"),
    [("$A", [], []), (f"{BEGIN} $A", [0], []), (f"$A {END}", [], [1]), (f"{BEGIN} $A {END}", [0], [1])],
)
def test_a_text_keeps_what_stands_in_front_and_loses_what_stands_behind(
    template: str, front: list[int], behind: list[int]
) -> None:
    tokenizer, plain = adding(template), tiny_bpe(begins=False)
    assert added_tokens(tokenizer) == (front, behind)
    inside = plain.encode("two brothers")
    assert token_ids(tokenizer, ["two brothers", ""]) == [[*front, *inside], front]
    brought = plain.encode(f"{BEGIN}two brothers{END}")
    assert brought == [0, *inside, 1]
    assert token_ids(tokenizer, [f"{BEGIN}two brothers{END}"]) == [brought]
    assert token_ids(tokenizer, []) == []


@pytest.mark.parametrize("template", ["$A", f"$A {END}", f"{BEGIN} $A {END}"])
@pytest.mark.parametrize("brought", ["", END])
def test_one_end_between_packed_documents(template: str, brought: str) -> None:
    """Whether the tokenizer ends each text, the text ends itself, or neither does."""
    tokenizer = adding(template)
    texts = [f"goat{brought}", "map", f"clock{brought}"]
    front, _ = added_tokens(tokenizer)
    inside = [tiny_bpe(begins=False).encode(text) for text in ("goat", "map", "clock")]
    expected = [token for ids in inside for token in (*front, *ids, 1)]
    found = packed([Document(text, "here") for text in texts], tokenizer, len(expected))
    assert found.tolist() == [expected]
