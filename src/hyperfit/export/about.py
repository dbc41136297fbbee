"""What an export says of itself: its name, the base model's, and the licences of both."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from hyperfit.data.builtin import PREFIX
from hyperfit.export.checks import CheckedExport
from hyperfit.export.licence import base_licence
from hyperfit.export.settings import ExportSettings
from hyperfit.runs.card import public_name
from hyperfit.runs.directory import RunDir

TAGS = ["hyperfitting"]
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class About:
    """What an export says of itself; no folder of this machine is in it."""

    name: str
    """Of the exported model."""
    base: str
    """Of the base model: its hub id, builtin:NAME, or the last part of its folder's name."""
    licence: str | None
    """Of what is exported, as the user names it."""
    base_licence: str | None
    """Of the base model, as its card names it."""
    what: str
    """The form in words."""
    file: str
    """The GGUF file's name, where one is written."""
    chats: bool = False
    """Whether it learned replies of chats."""

    @property
    def kind(self) -> str:
        """What it learned, in a word."""
        return "chats" if self.chats else "texts"

    @property
    def base_id(self) -> str | None:
        """The base model's hub id, if it is one."""
        return self.base if HUB_ID.fullmatch(self.base) else None


def about_run(run: RunDir, settings: ExportSettings, checked: CheckedExport) -> About:
    """What an export of the run is called."""
    base = settings.base_model or public_name(run.recipe.model)
    name = settings.name or f"{PurePosixPath(base.removeprefix(PREFIX)).name}-hyperfitted"
    return About(
        name=name,
        base=base,
        licence=settings.license,
        base_licence=base_licence(run.recipe.model),
        what=in_words(settings, checked),
        file=f"{name}-{settings.gguf}.gguf",
        chats=checked.chats,
    )


def in_words(settings: ExportSettings, checked: CheckedExport) -> str:
    """The form, for people: merged weights in bfloat16, say."""
    if settings.gguf is not None:
        return f"GGUF file ({settings.gguf})"
    return "adapter" if settings.form == "adapter" else f"merged weights in {str(checked.dtype).removeprefix('torch.')}"
