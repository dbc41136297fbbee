"""What an evaluation comes to on this machine: device, texts to continue, and all that can be wrong, said at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from hyperfit.errors import UserError, collecting, naming
from hyperfit.evaluation.by_model import check_featuriser, check_scorer
from hyperfit.evaluation.contexts import Texts, human_texts
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.generation.citations.of_run import MakeBlocker, blocker_of_run, corpus_of
from hyperfit.generation.vllm.checks import check_machine, check_model
from hyperfit.metrics.by_model.mauve import mauve_text
from hyperfit.models.devices import pick_device, pick_precision
from hyperfit.models.loading import load_config, load_tokenizer
from hyperfit.models.structure.layout import positions_of
from hyperfit.models.structure.vocabulary import check_embedded
from hyperfit.recipes.recipe import Precision
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import check_writable
from hyperfit.runs.result import check_base


@dataclass(frozen=True)
class CheckedEvaluation:
    """What a checked evaluation comes to on this machine."""

    settings: EvaluationSettings
    """With the decodings named."""
    device: torch.device
    precision: Precision
    """bf16 or fp32"""
    tokenizer: PreTrainedTokenizerBase
    texts: Texts
    training: list[list[int]]
    """What the run has learned: its training sequences, of chats each reply."""
    names: Sequence[str]
    """The documents that these are of: file and row."""
    blocker: MakeBlocker | None
    """Makes what forbids citations of them, its counts at 0; None where nothing is written so."""


def check_evaluation(run: RunDir, settings: EvaluationSettings, output: Path) -> CheckedEvaluation:
    """Device, tokenizer, texts, what blocks citations, and whether its files can be written to ``output``.

    Raises UserError with every problem there is.
    """
    problems: list[str] = []
    base = f"{run.path}, its base model"
    device, tokenizer, texts, blocker = torch.device("cpu"), None, None, None
    with collecting(problems):
        run.result  # noqa: B018  # raises if there is none
    with collecting(problems):
        check_writable(output)
    with collecting(problems):
        device = pick_device(settings.device)
        settings = settings.on(device.type)
        if settings.backend == "vllm":
            check_machine(device, settings.device)
    precision = pick_precision(settings.precision, device, evaluating=True)
    with collecting(problems):
        with naming(base):
            config = load_config(run.recipe.model)
        if settings.backend == "vllm":
            with collecting(problems):
                check_model(run, config, device, precision)
        limit = positions_of(config)
        if limit and settings.total > limit:
            problems.append(
                f"--total {settings.total}: {run.recipe.model} knows {limit} positions; give at most {limit}"
            )
        with collecting(problems):
            check_base(run)
        with naming(base):
            tokenizer = load_tokenizer(run.recipe.model)
        corpus = corpus_of(run, tokenizer)
        training = corpus.learned_texts
        with collecting(problems):
            texts = human_texts(run.recipe, settings, tokenizer)
            with naming(base):
                check_embedded(run.recipe.model, tokenizer, texts.rows)
        with collecting(problems):
            blocker = (
                blocker_of_run(run, settings, tokenizer, lambda: training, keep=output)
                if settings.decodings_blocked
                else None
            )
    if settings.mauve is not None:
        with collecting(problems):
            mauve_text()
        with collecting(problems):
            check_featuriser(settings.mauve)
    if settings.coherence is not None:
        with collecting(problems):
            pairs = texts.human_pairs(tokenizer) if texts is not None and tokenizer is not None else []
            check_scorer(settings.coherence, pairs, what="human text", remedy="a smaller --total")
    if problems or texts is None or tokenizer is None:
        raise UserError(*problems)
    return CheckedEvaluation(settings, device, precision, tokenizer, texts, training, corpus.learned_names, blocker)
