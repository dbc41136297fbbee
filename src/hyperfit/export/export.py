"""hyperfit export: a run's result in another form, written aside, verified, and only then put in its place."""

from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from hyperfit.console import say
from hyperfit.data.special_tokens import token_ids
from hyperfit.errors import UserError
from hyperfit.export.about import About, about_run
from hyperfit.export.card import export_card
from hyperfit.export.checks import CheckedExport, check_export
from hyperfit.export.forms import merged, unheld, write_adapter, write_merged
from hyperfit.export.gguf.file import write_gguf
from hyperfit.export.push import push
from hyperfit.export.settings import ExportSettings, default_folder
from hyperfit.export.verify import Verification, Written, check_same, compare, observe
from hyperfit.models.devices import autocast
from hyperfit.models.files.dequantise import read_gguf
from hyperfit.models.loading import load_model
from hyperfit.runs.adapter import with_adapter
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import writing
from hyperfit.runs.result import load_any


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was exported, and how it compares with the run."""

    folder: Path
    about: About
    files: dict[str, int]
    """Name → bytes."""
    verification: Verification
    address: str | None
    """Of its repository on the hub; None where it was not uploaded."""


def export_run(run: RunDir, settings: ExportSettings, output: Path | str | None = None) -> Export:
    """Write the run's result as the settings say into a folder that is new or empty; whole, or not at all.

    output: the folder. None: RUN/export/FORM. Before it is put there, what was written is loaded again, and continues
    held-out contexts as the run's model has done. Raises UserError with every problem before any weights are read; and
    where what was written is another model than the run's.
    """
    folder = Path(output) if output else default_folder(run.path, settings)
    checked = check_export(run, settings, folder)
    about = about_run(run, settings, checked)
    before = written_before(run, settings, checked)
    with writing(folder) as aside:
        aside.mkdir()
        say(f"writing {about.what} of {about.name}")
        write_form(run, settings, checked, about, aside)
        found = compare(before, written_after(run, settings, checked, about, aside, along=before.texts))
        check_same(found, f"{about.what} of {run.path}", remedy(settings))
        card = export_card(run, settings, about, checked.evaluation, found)
        (aside / "README.md").write_text(card, encoding="utf-8")
    files = {file.relative_to(folder).as_posix(): file.stat().st_size for file in sorted(folder.rglob("*"))}
    address = push(folder, settings.push, public=settings.public) if settings.push is not None else None
    return Export(folder=folder, about=about, files=files, verification=found, address=address)


def remedy(settings: ExportSettings) -> str:
    """What may help where another model came out than the run's."""
    if settings.form == "adapter":
        return "export merged weights, without --form adapter"
    return "leave --gguf out" if settings.gguf is not None else "give --dtype fp32"


def written_before(run: RunDir, settings: ExportSettings, checked: CheckedExport) -> Written:
    """What the run's model writes and finds likeliest."""
    model = load_any(str(run.path), device=checked.device, precision=checked.precision, strength=settings.strength)
    with autocast(checked.device, checked.precision):
        return observed(model, settings, checked, "before the export")


def write_form(run: RunDir, settings: ExportSettings, checked: CheckedExport, about: About, folder: Path) -> None:
    """The files of the form that was asked for."""
    if settings.form == "adapter":
        write_adapter(run, folder, about.base, settings.strength)
    elif settings.gguf is None:
        write_merged(run, folder, checked.tokenizer, checked.dtype, settings.strength)
    else:
        assert checked.vocabulary is not None
        model = merged(run, settings.strength)
        if (name := unheld(model, torch.float16)) is not None:
            raise UserError(f"--gguf {settings.gguf}: {name} has values that are too large for 16 bits; leave it out")
        write_gguf(model, checked.vocabulary, folder / about.file, settings.gguf, about)


def written_after(
    run: RunDir,
    settings: ExportSettings,
    checked: CheckedExport,
    about: About,
    folder: Path,
    *,
    along: list[list[int]],
) -> Written:
    """What the exported model writes, and what it finds likeliest along the texts of before.

    Merged weights compute in their own type, everything else as the run's model did.
    """
    precision = "fp32" if settings.kind == "merged" else checked.precision
    model = read_back(run, settings, checked, about, folder)
    with autocast(checked.device, precision):
        return observed(model, settings, checked, "after the export", along)


def read_back(
    run: RunDir, settings: ExportSettings, checked: CheckedExport, about: About, folder: Path
) -> PreTrainedModel | PeftModel:
    """The exported model as it is loaded from its files; an adapter onto the run's own base model."""
    if settings.form == "adapter":
        dtype = torch.bfloat16 if checked.precision == "bf16" else torch.float32
        return with_adapter(load_model(run.recipe.model, device=checked.device, dtype=dtype), folder, run.recipe.model)
    if settings.gguf is None:
        return load_model(str(folder), device=checked.device, dtype=checked.dtype)
    try:
        model, tokenizer = read_gguf(folder / about.file)
    except Exception as error:  # whatever a reader may meet in a file that another program is to read
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"--gguf {settings.gguf}: what was written cannot be read back by transformers ({reason}), so it cannot be "
            "verified; nothing was kept; leave --gguf out"
        ) from error
    texts = checked.texts.context_strings(checked.tokenizer)
    if checked.vocabulary is not None and checked.vocabulary.reread:
        pairs = zip(token_ids(checked.tokenizer, texts), token_ids(tokenizer, texts), strict=True)
        if other := sum(one != read for one, read in pairs):
            raise UserError(
                f"--gguf {settings.gguf}: {other} of {len(texts)} texts become other tokens by the tokenizer in the "
                "file than by the model's; nothing was kept; leave --gguf out"
            )
    moved: nn.Module = model
    moved.to(checked.device)
    return model


def observed(
    model: PreTrainedModel | PeftModel,
    settings: ExportSettings,
    checked: CheckedExport,
    what: str,
    along: list[list[int]] | None = None,
) -> Written:
    """``observe`` on the contexts that were chosen."""
    return observe(
        model,
        checked.tokenizer,
        checked.texts.contexts,
        what=what,
        new_tokens=settings.new_tokens,
        batch_size=settings.batch_size,
        along=along,
    )
