"""Complete pictures from their first part with a run and its base model, or with any model of pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedModel

from hyperfit.console import progress
from hyperfit.errors import UserError, collecting, naming
from hyperfit.generation.continuations import continue_contexts
from hyperfit.image.completion.contexts import Originals, originals
from hyperfit.image.completion.grid import Column, with_unknown
from hyperfit.image.completion.nearest import nearest
from hyperfit.image.measures.score import Pictures, score
from hyperfit.image.palette import Palette, load_palette
from hyperfit.image.reading.decode import Pixels
from hyperfit.image.settings import CompletionSettings
from hyperfit.metrics.estimate import Estimate
from hyperfit.models.devices import autocast, pick_device, pick_precision
from hyperfit.models.files.folders import model_folder
from hyperfit.models.files.pictures import of_pictures
from hyperfit.models.loading import load_config
from hyperfit.models.structure.layout import inner_model, layout_of
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import check_adapter, check_base, is_run, load_any, parts_of


@dataclass(frozen=True)
class Completions:
    """The pictures that were completed, and what became of them."""

    originals: Originals
    palette: Palette
    given: int
    """Pixels of each picture that stood at its beginning, read row by row from the top left."""
    tokens: dict[str, Tensor]
    """Condition, such as ``base/greedy`` → int64[pictures, length], start token and given pixels included."""

    def pixels(self, condition: str) -> Pixels:
        """uint8[pictures, height, width, 3]"""
        return self.palette.pixels(self.tokens[condition])

    @property
    def human(self) -> Tensor:
        """int64[pictures, length]: the pictures as they are, in the model's colours."""
        return self.palette.tokens(self.originals.pictures.pixels)

    def columns(self) -> list[Column]:
        """What was given, what each condition made of it, the picture itself, and, for each condition of the
        hyperfitted model, the training picture that its completion is nearest to.
        """
        original = self.palette.pixels(self.human)
        shown = [Column("given", with_unknown(original, self.given))]
        shown += [Column(name.replace("/", " "), self.pixels(name)) for name in self.tokens]
        shown.append(Column("original", original))
        training = self.originals.training
        if len(training):
            for name in (name for name in self.tokens if name.startswith("hyperfitted/")):
                places, _ = nearest(self.pixels(name), training, self.given)
                shown.append(Column(f"nearest to {name.rpartition('/')[2]}", training[places]))
        return shown

    def scores(self) -> dict[str, dict[str, Estimate]]:
        """Every measure of each condition, and of the pictures themselves (``hyperfit.image.measures.score``)."""
        return score(
            {name: self.of(rows) for name, rows in self.tokens.items()},
            self.of(self.human),
            self.originals.training,
            self.given,
        )

    def of(self, rows: Tensor) -> Pictures:
        """int64[pictures, length] tokens as tokens and pixels of the picture."""
        frame = self.palette.frame
        inside = rows[:, 1:].reshape(-1, frame.height, frame.width).numpy()
        return Pictures(inside, self.palette.pixels(rows))


class OnlyColours(LogitsProcessor):
    """Forbids tokens that are no colours, of which a model of pictures may have some beside them."""

    def __init__(self, colours: int) -> None:
        self.colours = colours

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores, minus infinity behind the colours."""
        scores[:, self.colours :] = -torch.inf
        return scores


def complete(settings: CompletionSettings) -> Completions:
    """Complete the pictures that the settings name, by every model and decoding.

    Of a run the base model too. Raises UserError with every problem before any weights are read.
    """
    problems: list[str] = []
    device, palette, recipe, found = torch.device("cpu"), None, None, None
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
            recipe = run.recipe
    with collecting(problems):
        if palette is not None:
            found = originals(settings, recipe, palette)
    if problems or palette is None or found is None:
        raise UserError(*problems)
    start = palette.context(settings.share)
    contexts = palette.tokens(found.pictures.pixels)[:, :start].tolist()
    precision = pick_precision(settings.precision, device, evaluating=True)
    tokens = dict[str, Tensor]()
    for name, model in models(settings.model, recipe is not None, device, precision):
        for decoding in settings.decodings:
            condition = f"{name}/{decoding}" if name else decoding
            with progress(f"{condition}: pictures", len(contexts)) as advance, autocast(device, precision):
                tokens[condition] = completed(
                    model, palette, contexts, decoding, settings.seed, settings.batch_size, advance
                )
    return Completions(found, palette, start - 1, tokens)


def models(
    name: str, run: bool, device: torch.device, precision: Any
) -> Iterator[tuple[str, PreTrainedModel | PeftModel]]:
    """(its name in conditions, the model) of all that complete, one at a time."""
    if run:
        yield "base", load_any(RunDir(Path(name)).recipe.model, device=device, precision=precision)
    yield "hyperfitted" if run else "", load_any(name, device=device, precision=precision)


def completed(
    model: PreTrainedModel | PeftModel,
    palette: Palette,
    contexts: Sequence[Sequence[int]],
    decoding: str,
    seed: int = 0,
    batch_size: int | None = None,
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
        processors=[OnlyColours(colours)] if written > colours else [],
        advance=advance,
    )
    return torch.tensor([[*context, *row] for context, row in zip(contexts, rows, strict=True)], dtype=torch.int64)
