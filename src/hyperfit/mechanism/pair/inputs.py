"""Two models and the texts they are studied on: checked, named, and loaded."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.console import say
from hyperfit.data.characters import excerpt
from hyperfit.errors import UserError, collecting, naming
from hyperfit.generation.citations.of_run import trained_on
from hyperfit.image.palette import Palette, palette_of
from hyperfit.image.sequences import trained_on_pictures
from hyperfit.mechanism.pair.pair import Pair, load_pair
from hyperfit.mechanism.pair.studied import for_kind, other_texts, pictures, run_texts
from hyperfit.mechanism.settings import MechanismSettings
from hyperfit.metrics.text.words import NO_LEXICON, Lexicon, lexicon_of
from hyperfit.models.devices import autocast, pick_device, pick_precision
from hyperfit.models.files.weights import weights_fingerprint
from hyperfit.models.loading import load_config, load_tokenizer
from hyperfit.models.structure.layout import positions_of
from hyperfit.models.structure.vocabulary import check_embedded
from hyperfit.recipes.recipe import Precision
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import check_writable, sha256
from hyperfit.runs.result import base_argument, check_adapter, check_base, is_run, load_any, parts_of


@dataclass(frozen=True, kw_only=True)
class Models:
    """The two models by name, and where results go."""

    base: str
    tuned: str
    """As load_pair takes them."""
    output: Path
    run: RunDir | None = None
    """The run that made the tuned model, where there is one."""

    @property
    def trained(self) -> RunDir | None:
        """The run behind the tuned model, also where it was named by --tuned."""
        return self.run or (RunDir(Path(self.tuned)) if is_run(self.tuned) else None)

    @property
    def flag_of_base(self) -> str:
        """What names the base model: a flag, or the run."""
        return f"{self.run.path}, its base model" if self.run else "--base"

    @property
    def epochs(self) -> list[int]:
        """After which the tuned model is known: those its run has kept, and the last; 1 where that is not known."""
        run = self.trained
        return [1] if run is None else [*run.kept, int(run.end["epoch"]) if run.end else 1]

    @classmethod
    def of_run(cls, run: RunDir) -> "Models":
        """A run's base model and result; results go to the run's folder. Raises UserError if it has no result."""
        run.result  # noqa: B018  # raises if there is none
        return cls(base=run.recipe.model, tuned=str(run.path), output=run.path, run=run)


def model_pair(
    folder: Path | None = None, *, base: str | None = None, tuned: str | None = None, output: Path | None = None
) -> Models:
    """A run's models, or those named. Raises UserError unless it is one or the other, with a place for the results."""
    if folder is not None:
        if base is not None or tuned is not None:
            raise UserError(f"--base, --tuned: {folder} already says which models; give a run or the two models")
        models = Models.of_run(RunDir.open(folder))
        return models if output is None else replace(models, output=output)
    given = {"--base": base, "--tuned": tuned, "--output": output}
    if base is None or tuned is None or output is None:
        missing = ", ".join(flag for flag, value in given.items() if value is None)
        raise UserError(f"{missing}: without a RUN, name both models and a folder for the results")
    return Models(base=base, tuned=tuned, output=output)


@dataclass(frozen=True, kw_only=True)
class StudyInputs:
    """Models and texts of the studies, checked, as they come to on this machine."""

    models: Models
    settings: MechanismSettings
    """As they are meant for these models."""
    tokenizer: PreTrainedTokenizerBase
    """Of models of pictures the names of their colours."""
    palette: Palette | None
    """What makes pixels of tokens; None for models of text."""
    texts: Tensor
    """int64[texts, total]: human text, or pictures."""
    device: torch.device
    precision: Precision
    """bf16 or fp32"""
    identity: dict[str, Any]
    """What the results depend on beside the settings: digests of the models and of the texts, device, precision."""

    def made(self, made_with: dict[str, Any]) -> bool:
        """Whether results were made with these models, on whatever texts."""
        return all(made_with[side] == self.identity[side] for side in ("base", "tuned"))

    @cached_property
    def pair(self) -> Pair:
        """Both models, loaded when they are first asked for."""
        return load_pair(self.models.base, self.models.tuned, device=self.device, precision=self.precision)

    @cached_property
    def training(self) -> list[list[int]] | None:
        """What the run has learned, as ``trained_on`` gives it; None without a run."""
        if self.models.run is None:
            return None
        if self.palette is not None:
            return trained_on_pictures(self.models.run, self.palette)
        return trained_on(self.models.run, self.tokenizer)

    @cached_property
    def lexicon(self) -> Lexicon | None:
        """What counts as a word: of the language of the texts, and those of the training data, if it is known.

        None where no language is, and for pictures.
        """
        if self.palette is not None:
            return None
        read = partial(excerpt, self.tokenizer)
        found = lexicon_of(map(read, self.training or []), map(read, self.texts.tolist()))
        if found is None:
            say(NO_LEXICON)
        return found

    def let_go(self) -> None:
        """Hold the pair no longer; who asks for it has it loaded again."""
        vars(self).pop("pair", None)

    def autocast(self) -> torch.autocast:
        """bfloat16 arithmetic where the studies have it."""
        return autocast(self.device, self.precision)

    def load(self, name: str) -> PreTrainedModel | PeftModel:
        """Another model, on the same device."""
        return load_any(name, device=self.device, precision=self.precision)

    @contextmanager
    def loaded(self, name: str) -> Iterator[PreTrainedModel | PeftModel]:
        """Another model, for the time of a block."""
        yield self.load(name)


def check_inputs(models: Models, settings: MechanismSettings) -> StudyInputs:
    """Check everything. Raises UserError with every problem there is."""
    problems, device, texts, palette = list[str](), torch.device("cpu"), None, None
    tokenizer: PreTrainedTokenizerBase
    with collecting(problems):
        device = pick_device(settings.device)
    with collecting(problems):
        check_writable(models.output)
    with collecting(problems):
        with naming(models.flag_of_base):
            config = load_config(models.base).get_text_config(decoder=True)
        limit, depth = positions_of(config), config.num_hidden_layers
        with collecting(problems):
            if (run := models.trained) is not None and run.recipe.model == models.base:
                check_base(run)
        problems += [
            f"--depths {count}: {models.base} has {depth} blocks; give 1 to {depth}"
            for count in settings.depths
            if count > depth
        ]
        problems += [
            f"--removed {count}: {models.base} is {config.hidden_size} wide; give at most that"
            for count in settings.removed
            if count > config.hidden_size
        ]
        with naming(models.flag_of_base):
            palette = palette_of(models.base)
        settings = for_kind(settings, palette)
        if palette is not None:
            tokenizer, texts = palette.tokenizer, pictures(models.tuned, models.run, settings, palette)
        else:
            if limit and settings.total > limit:
                problems.append(
                    f"--total {settings.total}: {models.base} knows {limit} positions; give at most {limit}, and with "
                    "it a smaller --context"
                )
            with naming(models.flag_of_base):
                tokenizer = load_tokenizer(models.base)
            texts = run_texts(models.run, settings, tokenizer) if models.run else other_texts(settings, tokenizer)
            with naming(models.flag_of_base):
                check_embedded(models.base, tokenizer, texts.tolist())
        if len(texts) < 2:
            what = "text" if palette is None else "picture"
            problems.append(f"--contexts: gives {len(texts)} {what} of {settings.total} tokens; two or more are needed")
    if "placement" in settings.studies and models.run is None:
        problems.append("--studies placement: trains a run's recipe anew; give a RUN made by hyperfit train")
    for flag, name in (("--tuned", None if models.run else models.tuned), ("--scorer", settings.scorer)):
        with collecting(problems):
            if name is not None and name != models.base:
                with naming(flag):
                    base, adapter = parts_of(name)
                with naming(base_argument(flag, name)):
                    load_config(base)
                if base != models.base:  # else checked above
                    check_adapter(base, adapter)
    if problems or texts is None:
        raise UserError(*problems)
    precision = pick_precision(settings.precision, device, evaluating=True)
    return StudyInputs(
        models=models,
        settings=settings,
        tokenizer=tokenizer,
        palette=palette,
        texts=texts,
        device=device,
        precision=precision,
        identity={
            "base": digest(models.base),
            "tuned": digest(models.tuned),
            "texts": hashlib.sha256(texts.numpy().tobytes()).hexdigest()[:16],
            "device": device.type,
            "precision": precision,
        },
    )


def digest(name: str) -> str:
    """A fingerprint of a model's weights, with those of its adapter."""
    base, adapter = parts_of(name)
    parts = [weights_fingerprint(base)]
    if adapter is not None:
        parts += [sha256(file) for file in sorted(adapter.glob("adapter_*"))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
