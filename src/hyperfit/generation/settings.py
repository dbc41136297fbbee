"""What is continued, with what, and how."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError
from hyperfit.generation.decodings import decoding_problems
from hyperfit.recipes.recipe import Precision

CITATION_TOKENS = 5
"""As in Carlsson et al. (2025)."""
HIGHEST_STRENGTH = 10
"""Most of what training changed that can be in force, in times."""


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """What to continue, with what, and how. Raises UserError naming every bad field."""

    model: str
    """A run, an adapter folder, a model folder, a hub id, builtin:smollm2 or builtin:tiny."""
    prompt: tuple[str, ...] = ()
    """Texts to continue."""
    prompts: Path | None = None
    """A file of texts to continue: .txt (one), .jsonl, .csv or .parquet (one a row), as they are but for the line end
    at the end of a .txt file."""
    text_column: str | None = None
    """Column of --prompts that holds the texts or the chats. None: "prompt", "text", else "messages" or
    "conversations", or the only one."""
    chat: bool = False
    """Take each prompt as what the user says in a chat, written with the model's chat template, and let the model
    answer. --prompts may then hold whole chats: what stands before the last reply is answered."""
    new_tokens: int = 224
    """Most tokens to add; a text ends earlier where the model ends it."""
    decoding: str = "greedy"
    """greedy, nucleus, top-k, min-p, typical, eta, contrastive, beam, repetition-penalty or no-repeat-ngram; with other
    values as in nucleus:top_p=0.95,temperature=1."""
    strength: float = 1.0
    """How much of what training changed is in force: 0 is the base model, 1 the trained one, more goes beyond it. Only
    for runs and adapters."""
    block_citations: bool = False
    """Block citations of the data that the model was trained on; only for runs, which know it."""
    citation_tokens: int = CITATION_TOKENS
    """Tokens in a row that must stand in the training data for the one that follows them there to be forbidden."""
    citation_generated_only: bool = False
    """Count only generated tokens among them, as in the paper: a citation may then begin with the last tokens of the
    prompt, and run past them."""
    citation_whole_words: bool = False
    """Let a word that is begun be finished before its citation is broken off."""
    seed: int = 0
    """Seed of the sampling."""
    batch_size: int | None = None
    """Prompts continued at once. None: as many as memory holds."""
    batch_invariant: bool = False
    """Continue one prompt at a time, so that no text depends on the others, not even by rounding; many times
    slower."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    precision: Precision = "auto"
    """fp32, or bf16 as in training under it; auto: fp32 on the CPU, else as training chooses."""

    def __post_init__(self) -> None:
        problems = too_small(self, new_tokens=1, citation_tokens=1, batch_size=1, seed=0)
        problems += decoding_problems([self.decoding], "--decoding")
        if not (math.isfinite(self.strength) and 0 <= self.strength <= HIGHEST_STRENGTH):
            problems.append(f"--strength {self.strength}: give a number from 0 to {HIGHEST_STRENGTH}")
        if self.prompts is None and not any(text.strip() for text in self.prompt):
            problems.append("--prompt: give a text to continue, or a file of them with --prompts")
        if self.text_column is not None and self.prompts is None:
            problems.append(useless_text_column("--prompts"))
        if not self.block_citations:
            problems += useless_citation_flags(self, "--block-citations")
        if problems:
            raise UserError(*problems)


def citation_settings(settings: Any) -> dict[str, Any]:
    """How citations are blocked, for the rows of texts that were written so."""
    return {
        name: getattr(settings, name) for name in ("citation_tokens", "citation_generated_only", "citation_whole_words")
    }


def useless_citation_flags(settings: Any, needed: str) -> list[str]:
    """A problem for each flag that says how citations are blocked, where none are."""
    return [
        f"--{name.replace('_', '-')}: says how citations are blocked, and none are; give {needed} too, or leave it out"
        for name, value in citation_settings(settings).items()
        if value != getattr(type(settings), name)
    ]


def useless_text_column(needed: str) -> str:
    """A problem where no table is read."""
    return f"--text-column: says which column of {needed} holds the texts; give that too, or leave it out"


def too_small(settings: Any, **least: int) -> list[str]:
    """A problem for each field below its least value; None is no value."""
    return [
        f"--{name.replace('_', '-')} {value}: give {low} or more, below 2^63"
        for name, low in least.items()
        if (value := getattr(settings, name)) is not None and not low <= value < 2**63
    ]
