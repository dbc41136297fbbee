"""What a playground comes to on this machine, and all that can be wrong with it, said at once."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from hyperfit.console import say
from hyperfit.data.builtin import PREFIX, TEXTS
from hyperfit.data.characters import excerpt
from hyperfit.errors import UserError, collecting, naming
from hyperfit.evaluation.contexts import human_texts
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.generation.citations.of_run import corpus_of
from hyperfit.models.devices import pick_device, pick_precision
from hyperfit.models.loading import load_config, load_tokenizer
from hyperfit.models.structure.layout import positions_of
from hyperfit.play.settings import PlaySettings
from hyperfit.play.tokens.training_texts import TrainingTexts
from hyperfit.recipes.recipe import Precision
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import check_base
from hyperfit.web.serving import is_local


@dataclass(frozen=True)
class Offer:
    """The beginning of a text, to be picked."""

    source: str
    text: str


@dataclass(frozen=True, kw_only=True)
class CheckedPlay:
    """What a checked playground comes to."""

    run: RunDir
    device: torch.device
    precision: Precision
    """bf16 or fp32"""
    tokenizer: PreTrainedTokenizerBase
    positions: int | None
    """Most tokens of context and continuation; None for no limit."""
    offers: list[Offer]
    training: TrainingTexts | None
    """What the run was trained on; None where it is gone."""


def check_play(folder: Path, settings: PlaySettings) -> CheckedPlay:
    """Raises UserError with every problem there is. What only makes the page poorer is told, and gone without."""
    problems: list[str] = []
    device, tokenizer, offers = torch.device("cpu"), None, list[Offer]()
    if not is_local(settings.host):
        problems.append(
            f"--host {settings.host}: other machines reach it, and a playground has no password; leave it out, and "
            f"reach the page from elsewhere with ssh -L {settings.port}:127.0.0.1:{settings.port} HOST"
        )
    with collecting(problems):
        device = pick_device(settings.device)
    with collecting(problems):
        run = RunDir.open(folder)
        with collecting(problems):
            run.result  # noqa: B018  # raises if there is none
        with naming(f"{folder}, its base model"):
            positions = positions_of(load_config(run.recipe.model))
            tokenizer = load_tokenizer(run.recipe.model)
        with collecting(problems):
            check_base(run)
        with collecting(problems):
            offers = offered(run, settings, tokenizer)
    if problems or tokenizer is None:
        raise UserError(*problems)
    return CheckedPlay(
        run=run,
        device=device,
        precision=pick_precision(settings.precision, device, evaluating=True),
        tokenizer=tokenizer,
        positions=positions,
        offers=offers,
        training=training_texts(run, tokenizer),
    )


def offered(run: RunDir, settings: PlaySettings, tokenizer: PreTrainedTokenizerBase) -> list[Offer]:
    """Beginnings of texts that the run was not trained on. Raises UserError where those that were asked for fail."""
    asked = bool(settings.contexts)
    own = (run.recipe.data,) if run.recipe.heldout else ()
    sources = settings.contexts or tuple(dict.fromkeys((*own, *(PREFIX + name for name in TEXTS))))
    problems: list[str] = []
    offers: list[Offer] = []
    for source in sources:
        choice = EvaluationSettings(
            contexts=(source,),
            text_column=settings.text_column,
            most_contexts=-(-settings.most_contexts // len(sources)),
            context=settings.context,
            total=settings.context + 1,
        )
        with collecting(problems):
            texts = human_texts(run.recipe, choice, tokenizer)
            offers += [
                # a chat is typed with the tokens of its template, which are read as such
                Offer(source, str(tokenizer.decode(ids)) if one.chat else excerpt(tokenizer, ids))
                for one, ids in zip(texts.passages, texts.contexts, strict=True)
            ]
    if problems and asked:
        raise UserError(*problems)
    if problems and not offers:
        say(f"No contexts are offered, only those that are typed: {problems[0]}")
    return offers[: settings.most_contexts]


def training_texts(run: RunDir, tokenizer: PreTrainedTokenizerBase) -> TrainingTexts | None:
    """What the run has learned; None, with a notice, where the texts have changed or are gone."""
    try:
        corpus = corpus_of(run, tokenizer)
    except UserError as error:
        say(f"What is recited from the training data is not marked: {error.problems[0]}")
        return None
    return TrainingTexts(corpus.learned_texts, corpus.learned_names, partial(excerpt, tokenizer))
