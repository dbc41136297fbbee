"""How a text is cut before tokens are made of its pieces, by the names that llama.cpp has for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class PreTokenizer:
    """A way to cut a text, as tokenizer.json describes it."""

    name: str
    """In ``tokenizer.ggml.pre``."""
    digits: bool = False
    """Whether each digit is a piece of its own."""
    split: str | None = None
    """The regular expression whose matches are the pieces. None: that of GPT-2, which byte-level tokenizers have."""
    whole: bool = False
    """Whether a piece that is a token is taken as it is, whatever merges would make of it (ignore_merges)."""
    normalizers: tuple[str, ...] = ()
    """What may happen to a text before it is cut; llama.cpp does nothing, so that it matters for rare texts alone."""
    reread: bool = True
    """Whether transformers cuts by it when it reads the file."""


LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

KNOWN = (
    PreTokenizer("gpt-2"),
    PreTokenizer("smollm", digits=True, reread=False),
    PreTokenizer("llama-bpe", split=LLAMA3, whole=True),
    PreTokenizer("qwen2", split=QWEN2, normalizers=("NFC",)),
)


def pretokenizer_of(tokenizer: Json) -> PreTokenizer | None:
    """The one by which a byte-level tokenizer cuts, of tokenizer.json; None if it is none of KNOWN."""
    steps = flat(tokenizer["pre_tokenizer"], "pretokenizers")
    *before, last = steps or [{}]
    if last.get("type") != "ByteLevel" or last["add_prefix_space"]:
        return None
    normalizers = {step["type"] for step in flat(tokenizer["normalizer"], "normalizers")}
    whole = bool(tokenizer["model"].get("ignore_merges"))
    for one in KNOWN:
        expected = [{"type": "Digits", "individual_digits": True}] if one.digits else []
        if one.split is not None:
            pattern = {"Regex": one.split}
            expected = [{"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}]
        same = before == expected and last["use_regex"] == (one.split is None) and whole == one.whole
        if same and normalizers <= set(one.normalizers):
            return one
    return None


def flat(part: Json | None, inside: str) -> list[Json]:
    """The steps of a part of tokenizer.json that is absent, one step or a sequence of them."""
    if part is None:
        return []
    return [step for one in part[inside] for step in flat(one, inside)] if part["type"] == "Sequence" else [part]
