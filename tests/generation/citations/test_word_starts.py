"""Which tokens begin a word, for tokenizers of each kind; and words in blocked text."""

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hyperfit.errors import UserError
from hyperfit.generation.citations.blocking import CitationBlocker
from hyperfit.generation.citations.word_starts import begins_word, word_starts
from tiny_models import END, VOCABULARY, random_ids, tiny_model, tiny_tokenizer


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        (" the", True),
        (" ", True),
        ("\n", True),
        (",", True),
        ("-", True),
        ("“", True),
        ("'", True),
        ("<", True),
        ("", True),
        ("bour", False),
        ("Bour", False),
        ("7", False),
        ("'s", False),
        ("’t", False),
        ("é", False),
        ("\u0301", False),
        ("\N{REPLACEMENT CHARACTER}", False),
        ("море", False),
        ("海", True),
        ("ひら", True),
        ("ไทย", True),
    ],
)
def test_texts_behind_a_word(text: str, begins: bool) -> None:
    assert begins_word(text) is begins


def sentencepiece_like() -> PreTrainedTokenizerFast:
    """As a Llama 2 tokenizer is made: "▁", and bytes for letters that are not in it."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words += ["▁", "▁a", "a", "▁harbour", "har", "bour", "▁har", ".", "'s", "▁▁", "海"]
    bpe = Tokenizer(
        models.BPE(vocab={w: n for n, w in enumerate(words)}, merges=[], unk_token="<unk>", byte_fallback=True)
    )
    bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bpe.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def test_sentencepiece() -> None:
    tokenizer = sentencepiece_like()
    starts = word_starts(tokenizer)
    assert starts.shape == (len(tokenizer),)
    says = {token: bool(starts[number]) for token, number in tokenizer.get_vocab().items()}
    begin = ["▁", "▁a", "▁harbour", "▁har", ".", "▁▁", "海", "<s>", "</s>", "<0x20>", "<0x0A>", "<0x2C>"]
    go_on = ["a", "har", "bour", "'s", "<0x61>", "<0xC3>", "<0xA9>"]
    assert [says[token] for token in begin] == [True] * len(begin)
    assert [says[token] for token in go_on] == [False] * len(go_on)


def test_byte_level(tokenizer: PreTrainedTokenizerFast) -> None:
    starts = word_starts(tokenizer)
    for token, number in tokenizer.get_vocab().items():
        if token.isascii():
            assert starts[number] != token[0].isalnum(), token
        elif token[0] in "ĠĊ":
            assert starts[number], token
    text = "Two brothers repaired clocks, and"
    pieces = [tokenizer.decode([token]) for token in tokenizer.encode(text, add_special_tokens=False)]
    begun = [starts[token].item() for token in tokenizer.encode(text, add_special_tokens=False)]
    assert len(pieces) > 7
    assert begun == [False] + [piece[0] in " ," for piece in pieces[1:]]


def test_single_bytes() -> None:
    tokenizer = tiny_tokenizer()
    starts = word_starts(tokenizer)
    letters, spaces = (tokenizer.encode(text) for text in ("Boats9é", " .\n-"))
    assert not starts[letters].any()
    assert starts[spaces].all()


def test_tokens_that_hide_the_spaces() -> None:
    words = Tokenizer(models.WordLevel(vocab={"a": 0, "boat": 1, "<unk>": 2}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>")
    with pytest.raises(UserError, match="show no spaces, so where words begin cannot be read off"):
        word_starts(tokenizer)


def test_in_generate_words_are_finished() -> None:
    """Of the model's own text as corpus, letters are written again, and never a byte that ends a word."""
    starts = word_starts(tiny_tokenizer())
    assert starts.shape == (VOCABULARY,)
    generate: Any = tiny_model().generate
    ids = random_ids(4, 6)
    settings = {"do_sample": False, "max_new_tokens": 40, "pad_token_id": END, "eos_token_id": None}
    free = generate(ids, **settings)
    cited = {(*before, after) for row in free.tolist() for *before, after in zip(row, row[1:], row[2:], strict=False)}
    blocker = CitationBlocker(free, 2, word_starts=starts)
    texts = generate(ids, logits_processor=[blocker], **settings).tolist()
    again = [run[2] for row in texts for run in zip(row[4:], row[5:], row[6:], strict=False) if run in cited]
    assert again
    assert not starts[torch.tensor(again)].any()
    assert blocker.counts().changed
