"""Complete pictures from their first part with a run and its base model, or with any model of pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedModel

from hyperfit.console import progress, say
from hyperfit.errors import UserError, collecting, naming
from hyperfit.generation.citations.blocking import BlockCounts
from hyperfit.generation.citations.of_run import MakeBlocker, blocker_of_run, run_to_block
from hyperfit.generation.continuations import continue_contexts
from hyperfit.image.completion.completions import BASE, BLOCKED, HYPERFITTED, Completions
from hyperfit.image.completion.contexts import Originals, originals
from hyperfit.image.measures.featurise import check_featuriser, load_featuriser
from hyperfit.image.palette import Palette, load_palette
from hyperfit.image.settings import CompletionSettings
from hyperfit.metrics.predictions.predict import predict, text_means
from hyperfit.models.devices import autocast, pick_device, pick_precision
from hyperfit.models.files.folders import model_folder
from hyperfit.models.files.pictures import of_pictures
from hyperfit.models.loading import load_config
from hyperfit.models.structure.layout import inner_model, layout_of
from hyperfit.recipes.recipe import Precision
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import check_adapter, check_base, is_run, load_any, parts_of

ALONE = "model"
"""What a model is called that is no run."""


@dataclass(frozen=True, kw_only=True)
class CheckedCompletion:
    """What the settings come to on this machine."""

    settings: CompletionSettings
    device: torch.device
    precision: Precision
    """bf16 or fp32"""
    run: RunDir | None
    palette: Palette
    originals: Originals
    blocker: MakeBlocker | None
    """Makes what forbids citations of the training pictures; None: none are forbidden."""

    def models(self) -> Iterator[tuple[str, PreTrainedModel | PeftModel]]:
        """(its name in conditions, the model) of all that complete, one at a time."""
        if self.run is not None:
            yield BASE, load_any(self.run.recipe.model, device=self.device, precision=self.precision)
        name = "" if self.run is None else HYPERFITTED
        yield name, load_any(self.settings.model, device=self.device, precision=self.precision)

    def ways(self, model: str) -> list[str]:
        """How a model goes on: by every decoding, the hyperfitted one also with citations blocked if that is wanted."""
        decodings = list(self.settings.decodings)
        blocked = [f"{one}{BLOCKED}" for one in decodings] if self.blocker and model == HYPERFITTED else []
        return decodings + blocked


def complete(settings: CompletionSettings) -> Completions:
    """Complete the pictures that the settings name, by every model and decoding, and read how they really go on.

    Of a run the base model too. Raises UserError with every problem before any weights are read.
    """
    checked = check_completion(settings)
    palette = checked.palette
    human = palette.tokens(checked.originals.pictures.pixels)
    start = palette.context(settings.share)
    contexts = human[:, :start].tolist()
    tokens, blocks, losses = dict[str, Tensor](), dict[str, BlockCounts](), dict[str, list[float]]()
    for name, model in checked.models():
        with autocast(checked.device, checked.precision):
            losses[name or ALONE] = text_means(predict(model, human, skip=start).loss).tolist()
        for way in checked.ways(name):
            condition = f"{name}/{way}" if name else way
            blocker = checked.blocker(None) if checked.blocker and way.endswith(BLOCKED) else None
            with (
                progress(f"{condition}: pictures", len(contexts)) as advance,
                autocast(checked.device, checked.precision),
            ):
                tokens[condition] = completed(
                    model,
                    palette,
                    contexts,
                    way.removesuffix(BLOCKED),
                    settings.seed,
                    settings.batch_size,
                    [blocker] if blocker else [],
                    advance,
                )
            if blocker:
                blocks[condition] = blocker.counts()
                say_blocks(condition, blocks[condition])
    return Completions(
        originals=checked.originals,
        palette=palette,
        given=start - 1,
        tokens=tokens,
        blocks=blocks,
        losses=losses,
        featurise=None if settings.features is None else load_featuriser(settings.features, checked.device),
    )


def check_completion(settings: CompletionSettings) -> CheckedCompletion:
    """Everything that can be wrong, told together, and what blocks citations."""
    problems: list[str] = []
    device, palette, run, found, blocker = torch.device("cpu"), None, None, None, None
    with collecting(problems):
        device = pick_device(settings.device)
    with collecting(problems):
        base, adapter = parts_of(settings.model)
        with naming("MODEL"):
            load_config(base)
            if not of_pictures(model_folder(base)):
                raise UserError(f"{settings.model}: its tokens are no pixels; hyperfit generate continues texts")
            palette = load_palette(base)
        check_adapter(base, adapter)
        if is_run(settings.model):
            run = RunDir.open(Path(settings.model))
            check_base(run)
    with collecting(problems):
        if palette is not None:
            found = originals(settings, run, palette)
    with collecting(problems):
        if settings.block_citations and palette is not None and found is not None:
            blocker = blocker_of(settings, palette, found)
    if settings.features is not None:
        with collecting(problems), naming("--features"):
            check_featuriser(settings.features)
    if problems or palette is None or found is None:
        raise UserError(*problems)
    return CheckedCompletion(
        settings=settings,
        device=device,
        precision=pick_precision(settings.precision, device, evaluating=True),
        run=run,
        palette=palette,
        originals=found,
        blocker=blocker,
    )


def blocker_of(settings: CompletionSettings, palette: Palette, found: Originals) -> MakeBlocker:
    """A maker of what forbids citing the run's training pictures; no citation begins with the start token.

    Raises UserError for a model that is no run.
    """
    run = run_to_block(settings.model)
    return blocker_of_run(run, settings, palette.tokenizer, lambda: palette.tokens(found.training).tolist())


def say_blocks(condition: str, counts: BlockCounts) -> None:
    """How often a blocker acted, for people."""
    say(f"{condition}: forbidden at {counts.blocked} of {counts.steps} steps, the choice changed at {counts.changed}")


class OnlyColours(LogitsProcessor):
    """Forbids tokens that are no colours, of which a model of pictures may have some beside them."""

    def __init__(self, colours: int) -> None:
        self.colours = colours

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores, minus infinity behind the colours."""
        scores[:, self.colours :] = -torch.inf
        return scores


def completed(
    model: PreTrainedModel | PeftModel,
    palette: Palette,
    contexts: Sequence[Sequence[int]],
    decoding: str,
    seed: int = 0,
    batch_size: int | None = None,
    processors: Sequence[LogitsProcessor] = (),
    advance: Any = lambda done: None,
) -> Tensor:
    """int64[pictures, length]: pictures that begin with the contexts, of the palette's colours alone."""
    colours, written = len(palette.colours), layout_of(inner_model(model)).vocabulary
    rows = continue_contexts(
        model,
        palette.tokenizer,
        contexts,
        new_tokens=palette.length - len(contexts[0]),
        decoding=decoding,
        seed=seed,
        batch_size=batch_size,
        processors=[*([OnlyColours(colours)] if written > colours else []), *processors],
        advance=advance,
    )
    return torch.tensor([[*context, *row] for context, row in zip(contexts, rows, strict=True)], dtype=torch.int64)
