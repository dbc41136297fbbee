"""What is exported of a run, in which form, and how it is verified."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hyperfit.errors import UserError
from hyperfit.generation.settings import HIGHEST_STRENGTH, too_small, useless_text_column
from hyperfit.recipes.recipe import Precision

Form = Literal["merged", "adapter"]
Dtype = Literal["auto", "bf16", "fp16", "fp32"]
GGUFKind = Literal["F16", "Q8_0"]


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """What is exported of a run, in which form, and how it is verified. Raises UserError naming every bad field."""

    form: Form = "merged"
    """merged: a plain model, whose weights hold what was learnt; adapter: the adapter alone, for a base model that
    others have."""
    dtype: Dtype = "auto"
    """Type of merged weights: bf16, fp16 or fp32; auto: the base model's own."""
    gguf: GGUFKind | None = None
    """Write one GGUF file for llama.cpp instead, of merged weights: F16, or Q8_0, about half as large. Needs the
    package gguf."""
    strength: float = 1.0
    """How much of what training changed is exported: 1 is the trained model, less is nearer to the base model, more
    goes beyond it."""

    contexts: tuple[str, ...] = ()
    """Texts whose beginnings the model continues before and after: files, folders, hub data sets or builtin:NAME, of
    which what was not trained on is used. Empty: the held-out texts of the run's own data."""
    text_column: str | None = None
    """Column that holds the text or the chat, of --contexts that are tables. None: "text", else "messages" or
    "conversations", or the only one."""
    most_contexts: int = 24
    """Most contexts in all, chosen at random, as many from each source."""
    context: int = 32
    """Tokens of a context."""
    new_tokens: int = 64
    """Tokens by which each is continued."""
    batch_size: int | None = None
    """Contexts continued at once. None: as many as memory holds."""
    device: str = "auto"
    """auto, cpu, cuda, ...; where both are verified."""
    precision: Precision = "auto"
    """How the run's model computes before: fp32, or bf16 as in training under it; auto: fp32 on the CPU, else as
    training chooses. What is exported computes in the type of its weights; a GGUF file and an adapter as the run's
    model does."""

    name: str | None = None
    """What the exported model is called. None: the base model's name and "-hyperfitted"."""
    base_model: str | None = None
    """Hub id of the base model, for the card, where training had it from a folder."""
    license: str | None = None
    """Licence of what is exported, as the hub spells it, such as apache-2.0; the card says what it depends on."""
    push: str | None = None
    """Upload what was exported to this repository of the hub, USER/NAME. A new one is private."""
    public: bool = False
    """With --push: make a new repository public. The model may recite what it was trained on."""

    def __post_init__(self) -> None:
        problems = too_small(self, most_contexts=1, context=1, new_tokens=1, batch_size=1)
        if not (math.isfinite(self.strength) and 0 < self.strength <= HIGHEST_STRENGTH):
            problems.append(f"--strength {self.strength:g}: give a number above 0, at most {HIGHEST_STRENGTH}")
        if self.text_column is not None and not self.contexts:
            problems.append(useless_text_column("--contexts"))
        if self.form == "adapter" and self.gguf is not None:
            problems.append("--gguf: holds merged weights; leave out --form adapter, or --gguf")
        elif self.dtype != "auto" and (self.form == "adapter" or self.gguf is not None):
            other = "--form adapter" if self.form == "adapter" else "--gguf"
            problems.append(f"--dtype {self.dtype}: is for merged weights; leave it out, or {other}")
        for flag, value in (("--base-model", self.base_model), ("--push", self.push)):
            if value is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", value, re.ASCII):
                problems.append(f"{flag} {value}: give a hub id, USER/NAME")
        if self.name is not None and not re.fullmatch(r"\w[\w.-]*", self.name, re.ASCII):
            problems.append(f"--name {self.name}: give letters, digits, '-', '_' and '.', a letter or digit first")
        if self.license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.license):
            problems.append(f"--license {self.license}: give it as the hub spells it, such as apache-2.0 or other")
        if self.public and self.push is None:
            problems.append("--public: says who sees a new repository; give --push too, or leave it out")
        if problems:
            raise UserError(*problems)

    @property
    def kind(self) -> str:
        """The form in a word: adapter, merged, or the GGUF type."""
        return self.gguf or self.form


def default_folder(run: Path, settings: ExportSettings) -> Path:
    """Where an export goes unless told otherwise: RUN/export/FORM, with dtype and strength where they are given."""
    dtype = [settings.dtype] if settings.dtype != "auto" else []
    strength = [f"strength-{settings.strength:g}"] if settings.strength != 1 else []
    return run / "export" / "-".join([settings.kind, *dtype, *strength])
