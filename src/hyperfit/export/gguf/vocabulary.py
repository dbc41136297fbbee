"""A model's tokenizer as llama.cpp has it: its tokens, their kinds, and how a text is made of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedTokenizerBase

from hyperfit.data.special_tokens import added_tokens
from hyperfit.errors import UserError
from hyperfit.export.gguf.pretokenizers import KNOWN, flat, pretokenizer_of

if TYPE_CHECKING:
    from gguf import GGUFWriter

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Kinds of tokens, as gguf.TokenType numbers them."""
UNMADE = -1e6
"""Score of a token that no merge makes: it comes last."""


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says of a tokenizer."""

    model: str
    """gpt2: merges of letters that stand for bytes; llama: pieces of text by scores, as SentencePiece has them."""
    tokens: list[str]
    kinds: list[int]
    settings: dict[str, Any] = field(default_factory=dict)
    """What else there is, by the name of the writer's function."""
    reread: bool = True
    """Whether transformers makes the same tokens of a text when it reads the file."""

    def add_to(self, writer: "GGUFWriter") -> None:
        """Write it into a file's metadata."""
        writer.add_tokenizer_model(self.model)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.kinds)
        for name, value in self.settings.items():
            getattr(writer, f"add_{name}")(value)


def vocabulary_of(tokenizer: PreTrainedTokenizerBase, size: int, ends: Sequence[int] = ()) -> Vocabulary:
    """The tokenizer of a model with ``size`` rows in its embedding; ``ends``: the tokens that end a text.

    Raises UserError, with the reason, for a tokenizer that llama.cpp has no name for.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    described: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {"model": {"type": None}}
    model = described["model"]
    if model["type"] != "BPE":
        raise UserError(f"its tokenizer is of type {model['type']}, and only BPE is written as GGUF here")
    vocabulary = tokenizer.get_vocab()
    if (last := max(vocabulary.values())) >= size:
        raise UserError(f"its tokenizer has tokens up to number {last}, and the model knows {size} alone")
    tokens = [f"[PAD{number}]" for number in range(size)]
    kinds = [UNUSED] * size
    for token, number in vocabulary.items():
        tokens[number], kinds[number] = token, NORMAL
    for added in described["added_tokens"]:
        kinds[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    settings = {**special_tokens(tokenizer, ends), **begins_and_ends(tokenizer)}
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    if not merges:
        raise UserError("its tokenizer merges nothing, and llama.cpp reads none of that kind")
    if model["byte_fallback"]:
        return pieces(described, tokens, kinds, merges, settings, tokenizer.unk_token_id)
    cut = pretokenizer_of(described)
    if cut is None:
        known = ", ".join(one.name for one in KNOWN)
        raise UserError(f"its tokenizer cuts texts in a way that has no name here (those of {known} have)")
    settings |= {"tokenizer_pre": cut.name, "token_merges": [" ".join(merge) for merge in merges]}
    return Vocabulary("gpt2", tokens, kinds, settings, cut.reread)


def pieces(
    described: Mapping[str, Any],
    tokens: list[str],
    kinds: list[int],
    merges: Sequence[Sequence[str]],
    settings: dict[str, Any],
    unknown: int | None,
) -> Vocabulary:
    """A tokenizer that was SentencePiece's: each piece scored by the place of the first merge that makes it."""
    space, prefix = "\u2581", None
    normalizers = flat(described["normalizer"], "normalizers")
    cuts = flat(described["pre_tokenizer"], "pretokenizers")
    if [step["type"] for step in normalizers] == ["Prepend", "Replace"] and not cuts:
        prefix = normalizers[0]["prepend"] == space and normalizers[1] == replaced(space)
    elif not normalizers and [step["type"] for step in cuts] == ["Metaspace"]:
        prefix = cuts[0]["prepend_scheme"] != "never" and cuts[0]["replacement"] == space
    elif normalizers == [replaced(space)] and not cuts:
        prefix = False
    if prefix is None:
        raise UserError("its tokenizer prepares texts in a way that llama.cpp does not have for SentencePiece")
    made = {"".join(merge): -float(place) for place, merge in reversed(list(enumerate(merges)))}
    scores = [made.get(token, UNMADE) if kind == NORMAL else 0.0 for token, kind in zip(tokens, kinds, strict=True)]
    for number, token in enumerate(tokens):
        if kinds[number] == NORMAL and token.startswith("<0x") and len(token) == 6:
            kinds[number] = BYTE
    if unknown is not None:
        kinds[unknown] = UNKNOWN
    return Vocabulary(
        "llama",
        tokens,
        kinds,
        {**settings, "token_scores": scores, "add_space_prefix": prefix, "tokenizer_pre": "default"},
    )


def replaced(space: str) -> dict[str, Any]:
    """How tokenizer.json says that spaces become ``space``."""
    return {"type": "Replace", "pattern": {"String": " "}, "content": space}


def special_tokens(tokenizer: PreTrainedTokenizerBase, ends: Sequence[int]) -> dict[str, Any]:
    """Which tokens begin, end and fill up a text, and the template of a chat."""
    found = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "unk_token_id": tokenizer.unk_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "eot_token_id": next((end for end in ends if end != tokenizer.eos_token_id), None),
        "chat_template": tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def begins_and_ends(tokenizer: PreTrainedTokenizerBase) -> dict[str, bool]:
    """Whether a text begins with bos and ends with eos. Raises UserError if the tokenizer adds anything else."""
    front, behind = added_tokens(tokenizer)
    bos, eos = [tokenizer.bos_token_id], [tokenizer.eos_token_id]
    if front not in ([], bos) or behind not in ([], eos):
        raise UserError("its tokenizer puts other tokens around a text than its beginning and its end")
    return {"add_bos_token": front == bos, "add_eos_token": behind == eos}
