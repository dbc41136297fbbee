"""What an export comes to on this machine: all that can be wrong, said at once, before any weights are read."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from hyperfit.errors import UserError, collecting, naming, pip_install
from hyperfit.evaluation.contexts import Texts, human_texts
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.export.gguf.architectures import hindrances
from hyperfit.export.gguf.vocabulary import Vocabulary, vocabulary_of
from hyperfit.export.push import check_push
from hyperfit.export.settings import ExportSettings
from hyperfit.generation.citations.of_run import corpus_of
from hyperfit.models.devices import pick_device, pick_precision
from hyperfit.models.files.quantized import is_quantized
from hyperfit.models.loading import load_config, load_tokenizer
from hyperfit.models.structure.layout import positions_of
from hyperfit.models.structure.vocabulary import check_embedded
from hyperfit.recipes.recipe import Precision
from hyperfit.report.pages.run import read_evaluation
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import check_writable
from hyperfit.runs.result import check_base

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True, kw_only=True)
class CheckedExport:
    """What the settings of an export come to."""

    device: torch.device
    precision: Precision
    """bf16 or fp32"""
    tokenizer: PreTrainedTokenizerBase
    texts: Texts
    """Held-out texts, whose contexts are continued."""
    dtype: torch.dtype
    """Of merged weights."""
    vocabulary: Vocabulary | None
    """The tokenizer as a GGUF file has it; None where none is written."""
    evaluation: dict[str, Any]
    """What ``hyperfit evaluate`` left in the run; empty if nothing."""
    chats: bool
    """Whether the run learned replies of chats."""


def check_export(run: RunDir, settings: ExportSettings, folder: Path) -> CheckedExport:
    """Device, tokenizer, texts, and whether there can be such an export in ``folder``.

    Raises UserError with every problem there is.
    """
    problems: list[str] = []
    base = f"{run.path}, its base model"
    device, tokenizer, texts, vocabulary, dtype = torch.device("cpu"), None, None, None, torch.float32
    chats = False
    with collecting(problems):
        if run.result.name != "adapter" and settings.form == "adapter":
            problems.append(
                f"--form adapter: {run.path} was trained by --method {run.recipe.method}, which makes no adapter; "
                "leave it out"
            )
    with collecting(problems):
        check_folder(folder)
    with collecting(problems):
        device = pick_device(settings.device)
    evaluation: dict[str, Any] = {}
    with collecting(problems):
        evaluation = read_evaluation(run.path)
    if settings.push is not None:
        with collecting(problems):
            check_push(settings.push)
    with collecting(problems):
        with naming(base):
            config = load_config(run.recipe.model)
            dtype = DTYPES.get(settings.dtype) or getattr(config, "dtype", None) or torch.float32
            if is_quantized(config) and settings.form != "adapter":
                problems.append(
                    f"--form merged: {run.recipe.model} has quantized weights, to which nothing is added; give --form "
                    "adapter"
                )
            limit, total = positions_of(config), settings.context + settings.new_tokens
        if limit and total > limit:
            problems.append(
                f"--new-tokens {settings.new_tokens}: with a --context of {settings.context} that is more than the "
                f"{limit} positions of {run.recipe.model}; give fewer"
            )
        with collecting(problems):
            check_base(run)
        with naming(base):
            tokenizer = load_tokenizer(run.recipe.model)
        if settings.gguf is not None:
            with collecting(problems):
                vocabulary = vocabulary_for(run, settings.gguf, tokenizer)
        with collecting(problems):
            chats = corpus_of(run, tokenizer).chats  # held-out texts are those of the same data
            with own_flags(settings):
                texts = human_texts(run.recipe, contexts_of(settings), tokenizer)
            with naming(base):
                check_embedded(run.recipe.model, tokenizer, texts.rows)
    if problems or texts is None or tokenizer is None:
        raise UserError(*problems)
    precision = pick_precision(settings.precision, device, evaluating=True)
    return CheckedExport(
        device=device,
        precision=precision,
        tokenizer=tokenizer,
        texts=texts,
        dtype=dtype,
        vocabulary=vocabulary,
        evaluation=evaluation,
        chats=chats,
    )


def check_folder(folder: Path) -> None:
    """Raises UserError unless the folder is new or empty, and can be written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--output {folder}: is not an empty folder; name a new one, or remove it")
    check_writable(folder)


def vocabulary_for(run: RunDir, kind: str, tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
    """The run's tokenizer as a GGUF file has it. Raises UserError if there can be no such file."""
    if find_spec("gguf") is None:
        raise UserError(f"--gguf {kind}: needs the package gguf, which writes such files; {pip_install('gguf')}")
    config = load_config(run.recipe.model)
    if reasons := hindrances(config):
        raise UserError(*(f"--gguf {kind}: {run.recipe.model} {reason}" for reason in reasons))
    with naming(f"--gguf {kind}: {run.recipe.model},"):
        ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        return vocabulary_of(tokenizer, config.vocab_size, [end for end in ends if end is not None])


@contextmanager
def own_flags(settings: ExportSettings) -> Iterator[None]:
    """What an evaluation says of its length of texts, in the flags that an export has for it."""
    flags = {
        f"--total {settings.context + settings.new_tokens}:": f"--new-tokens {settings.new_tokens}:",
        "--total": "--new-tokens",
    }
    try:
        yield
    except UserError as error:
        problems = error.problems
        for theirs, ours in flags.items():
            problems = tuple(problem.replace(theirs, ours) for problem in problems)
        raise UserError(*problems) from error


def contexts_of(settings: ExportSettings) -> EvaluationSettings:
    """What an evaluation is told of the contexts that the export continues."""
    return EvaluationSettings(
        contexts=settings.contexts,
        text_column=settings.text_column,
        most_contexts=settings.most_contexts,
        context=settings.context,
        total=settings.context + settings.new_tokens,
    )
