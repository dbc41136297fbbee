"""What a pair of models is studied on: human texts, or pictures, that the tuned one was not trained on."""

import math
from dataclasses import replace

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperfit.data.corpus import choose, starts
from hyperfit.data.reading.sources import read_documents
from hyperfit.errors import UserError, collecting
from hyperfit.evaluation.contexts import human_texts
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.generation.citations.of_run import trained_on
from hyperfit.image.completion.contexts import originals
from hyperfit.image.palette import Palette
from hyperfit.image.settings import CompletionSettings
from hyperfit.mechanism.settings import MechanismSettings
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.runs.directory import RunDir

NO_TEXTS = (
    "the mechanism is studied on texts of one length, and these are chats or prompts with their completions; name "
    "texts, such as builtin:fiction"
)


def run_texts(run: RunDir, settings: MechanismSettings, tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """int64[texts, total] that the run was not trained on. Raises UserError if its own texts have changed."""
    trained_on(run, tokenizer)
    choice = EvaluationSettings(
        contexts=settings.contexts,
        text_column=settings.text_column,
        most_contexts=settings.most_contexts,
        context=settings.context,
        total=settings.total,
        context_seed=settings.context_seed,
    )
    texts = human_texts(run.recipe, choice, tokenizer)
    if not texts.all_of(settings.total):
        raise UserError(f"--contexts: {NO_TEXTS}")
    return torch.tensor(texts.rows, dtype=torch.int64)


def other_texts(settings: MechanismSettings, tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """int64[texts, total] for models whose training texts are not known: a source's held-out part, or all of it."""
    if not settings.contexts:
        raise UserError("--contexts: name the texts on which --base and --tuned are studied, not those of training")
    problems, rows = list[str](), list[Tensor]()
    share = math.ceil(settings.most_contexts / len(settings.contexts))
    for source in settings.contexts:
        with collecting(problems):
            everything, apart = read_documents(source, settings.text_column, flag="--contexts")
            if any(document.prompted for document in apart or everything):
                raise UserError(f"--contexts {source}: {NO_TEXTS}")
            found, short = starts(apart or everything, tokenizer, settings.total)
            if not len(found):
                problems.append(
                    f"--contexts {source}: {short} documents, none of {settings.total} tokens; name longer texts or "
                    "give a smaller --total"
                )
            rows.append(choose(found, share, settings.context_seed))
    if problems:
        raise UserError(*problems)
    different = dict.fromkeys(tuple(row) for row in torch.cat(rows).tolist())
    return torch.tensor(list(different)[: settings.most_contexts], dtype=torch.int64)


def pictures(name: str, run: RunDir | None, settings: MechanismSettings, palette: Palette) -> Tensor:
    """int64[pictures, length] that the run, if there is one, was not trained on; name: the tuned model's.

    Raises UserError if the run's own pictures have changed, and for more than one source.
    """
    if len(settings.contexts) > 1:
        raise UserError(f"--contexts {' '.join(settings.contexts)}: name one source of pictures")
    try:
        chosen = CompletionSettings(
            model=name,
            pictures=settings.contexts[0] if settings.contexts else None,
            image_column=settings.image_column,
            skip_unusable=settings.skip_unusable,
            count=settings.most_contexts,
            seed=settings.context_seed,
        )
        return palette.tokens(originals(chosen, run, palette).pictures.pixels)
    except UserError as error:
        raise UserError(*(one.replace("--pictures", "--contexts", 1) for one in error.problems)) from error


def for_kind(settings: MechanismSettings, palette: Palette | None) -> MechanismSettings:
    """The settings as they are meant for models of pictures, which are studied whole; for those of text, as they are.

    Raises UserError for what has no effect on the one or the other, and for pictures too small to measure.
    """
    other: tuple[str, ...] = (
        ("share", "image_column", "skip_unusable") if palette is None else ("context", "total", "text_column")
    )
    kind = "text" if palette is None else "pictures"
    problems = [
        f"--{name.replace('_', '-')}: has no effect on a model of {kind}; leave it out"
        for name in other
        if getattr(settings, name) != getattr(MechanismSettings, name)
    ]
    if palette is not None and palette.length - palette.context(settings.share) < TTR_WINDOW:
        problems.append(
            f"--share {settings.share:g}: of pictures of {palette.length - 1} pixels that leaves fewer than the "
            f"{TTR_WINDOW} over which the type-token ratio is taken; give a smaller share, or larger pictures"
        )
    if problems:
        raise UserError(*problems)
    return (
        settings
        if palette is None
        else replace(settings, context=palette.context(settings.share), total=palette.length)
    )
