"""A recipe checked against this machine: everything that can be wrong is said before weights are read."""

import dataclasses
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any, get_args

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.data.characters import excerpt
from hyperfit.data.corpus import Corpus, build_corpus
from hyperfit.data.least import least_loss
from hyperfit.data.split import split_documents
from hyperfit.errors import UserError, collecting, naming
from hyperfit.image.palette import Palette, load_palette
from hyperfit.image.sequences import build_picture_corpus
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.text.words import Lexicon, lexicon_of
from hyperfit.models.adapt import check_depth, learning
from hyperfit.models.devices import autocast, device_name, pick_device, pick_precision
from hyperfit.models.files.folders import model_folder
from hyperfit.models.files.pictures import of_pictures
from hyperfit.models.files.quantized import is_quantized
from hyperfit.models.files.weights import weights_fingerprint
from hyperfit.models.loading import load_config, load_tokenizer
from hyperfit.models.structure.layout import positions_of
from hyperfit.models.structure.vocabulary import check_embedded
from hyperfit.prefix.disk.eviction import LIMIT
from hyperfit.prefix.disk.sizes import readable, size_from
from hyperfit.recipes.defaults import filled_in
from hyperfit.recipes.recipe import CacheMode, Precision, Recipe, Tracker
from hyperfit.runs.directory import RunDir
from hyperfit.runs.trackers import check_trackers
from hyperfit.training.kinds import too_long, unfit
from hyperfit.training.processes.launch import undividable


@dataclass(frozen=True)
class CheckedRecipe:
    """What a checked recipe comes to on this machine."""

    recipe: Recipe
    tokenizer: PreTrainedTokenizerBase
    """Of a model of pictures the names of its colours."""
    palette: Palette | None
    """What makes pixels of tokens; None for a model of text."""
    corpus: Corpus
    device: torch.device
    precision: Precision
    """bf16 or fp32"""
    prefix_cache: CacheMode
    cache_limit: int
    """Bytes of all prefix caches in their folder."""
    streaming: bool
    sharded: bool
    """Whether the model is divided among the processes."""

    @property
    def batch_size(self) -> int:
        """Sequences of every forward pass in training: the recipe's, or all there are."""
        return min(self.recipe.batch_size, len(self.corpus.train))

    @cached_property
    def least_loss(self) -> float:
        """Of training, nats per token: what no model can get below on these sequences."""
        return least_loss(self.corpus.train, self.corpus.learned)

    @cached_property
    def index(self) -> TrainingIndex:
        """Of what is learned, to find what of a text stands there."""
        return TrainingIndex(self.corpus.learned_texts)

    @cached_property
    def lexicon(self) -> Lexicon | None:
        """What counts as a word; None where there is no lexicon of the texts' language."""
        read = partial(excerpt, self.tokenizer)
        return lexicon_of(map(read, self.corpus.learned_texts), map(read, self.corpus.validation_sequences))

    def autocast(self) -> torch.autocast:
        """bfloat16 arithmetic where the precision is bf16."""
        return autocast(self.device, self.precision)


def check(
    recipe: Recipe,
    run: RunDir,
    going_on: bool,
    wanted_device: str,
    processes: int = 1,
    *,
    prefix_cache: CacheMode = "auto",
    cache_limit: str = readable(LIMIT),
    streaming: bool = False,
    sharded: bool = False,
    log_with: Sequence[Tracker] = (),
) -> CheckedRecipe:
    """Everything that can be wrong before the model's weights are read, reported together.

    Its recipe is the given one with what was left open filled in: late blocks, rate, scale, samples, device, precision.
    """
    problems: list[str] = []
    if prefix_cache not in get_args(CacheMode):
        problems.append(f"--prefix-cache {prefix_cache}: give one of {', '.join(get_args(CacheMode))}")
    if streaming and (not recipe.late or prefix_cache == "off"):
        problems.append(
            "--streaming: needs frozen blocks and their cache; give --method late-lora or late-full, without "
            "--prefix-cache off"
        )
    if streaming and recipe.stop == "auto":
        problems.append("--stop auto: reads greedy texts, and --streaming cannot write any; leave one of them out")
    if sharded:
        problems += undividable(recipe, prefix_cache, streaming=streaming)
    device, tokenizer, palette, corpus, limit = torch.device("cpu"), None, None, None, LIMIT
    pictures = False
    with collecting(problems):
        check_trackers(log_with)
    with collecting(problems):
        limit = size_from(cache_limit, "--cache-limit")
    with collecting(problems):
        if going_on:
            RunDir.open(run.path)
        else:
            run.check_free()
    with collecting(problems):
        device = pick_device(wanted_device)
        if torch.is_autocast_enabled(device.type):  # it would keep the casts of the first weights to the end
            problems.append("torch.autocast is on: train outside of it; --precision bf16 has its own")
    with collecting(problems):
        with naming("MODEL"):
            whole = load_config(recipe.model)
        config = whole.get_text_config(decoder=True)
        if is_quantized(whole):
            problems += with_quantized(recipe, streaming=streaming)
        with collecting(problems):
            check_depth(recipe, config.num_hidden_layers)
        if recipe.adapters and recipe.rank > config.hidden_size:
            problems.append(f"--rank {recipe.rank}: more than the model's width; give at most {config.hidden_size}")
        pictures = of_pictures(model_folder(recipe.model))
        problems += unfit(recipe, pictures=pictures)
        with naming("MODEL"):
            palette = load_palette(recipe.model) if pictures else None
        problems += too_long(recipe, palette, positions_of(config))
        with naming("MODEL"):
            tokenizer = palette.tokenizer if palette else load_tokenizer(recipe.model)
    with collecting(problems):
        if palette is not None:
            corpus = build_picture_corpus(recipe, palette)
        elif tokenizer is not None:
            corpus = build_corpus(recipe, tokenizer)
            with naming("MODEL"):
                check_embedded(recipe.model, tokenizer, [*corpus.sequences, *corpus.validation_sequences])
        elif not pictures:
            split_documents(recipe)  # the texts may have problems of their own
    if problems or tokenizer is None or corpus is None:
        raise UserError(*problems)
    recipe = resolved(recipe, config, corpus, device.type if processes > 1 else str(device))
    if going_on:
        check_same(recipe, run, corpus)
    return CheckedRecipe(
        recipe, tokenizer, palette, corpus, device, recipe.precision, prefix_cache, limit, streaming, sharded
    )


def with_quantized(recipe: Recipe, *, streaming: bool) -> list[str]:
    """What cannot be done with quantized weights, a sentence each."""
    problems, what = [], f"the weights of {recipe.model} are quantized"
    if not recipe.adapters:
        problems.append(
            f"--method {recipe.method}: {what} and cannot learn; give late-lora or lora, or the model in its original "
            "precision"
        )
    if streaming:
        problems.append(f"--streaming: reads plain weights, and {what}; leave it out")
    return problems


def resolved(recipe: Recipe, config: Any, corpus: Corpus, device: str) -> Recipe:
    """The recipe with nothing left to defaults that a later version or another machine could change."""
    return dataclasses.replace(
        filled_in(recipe, config.num_hidden_layers, config.hidden_size),
        alpha=recipe.lora_alpha,
        samples=len(corpus.train),
        length=corpus.train.shape[1],
        device=device,
        precision=pick_precision(recipe.precision, torch.device(device)),
    )


def check_same(recipe: Recipe, run: RunDir, corpus: Corpus) -> None:
    """Raises UserError that names each thing in which a resumed run differs from the one that was started."""
    now, then, before = recipe.to_dict(), run.recipe.to_dict(), run.environment
    problems = []
    if changed := [f"--{k.replace('_', '-')} was {then[k]}, is now {now[k]}" for k in now if now[k] != then[k]]:
        problems.append(
            f"--resume: the recipe changed: {'; '.join(changed)}. Repeat the first command with --resume, or start "
            "another run in a new --output folder"
        )
    elif corpus.fingerprint != before["data_fingerprint"]:
        problems.append(f"--resume: the texts of {recipe.data} are not those this run was started with; restore them")
    known = before.get("weights_fingerprint")  # runs of earlier versions do not say
    if known is not None and now["model"] == then["model"] and weights_fingerprint(recipe.model) != known:
        problems.append(
            f"--resume: the weights of {recipe.model} are not those this run was started with; restore them, or start "
            "another run in a new --output folder"
        )
    if problems:
        raise UserError(*problems)


def check_learning(model: PreTrainedModel | PeftModel, rate: float) -> None:
    """Raises UserError if a weight would learn in less than fp32.

    AdamW moves a weight by about the learning rate in a step. bfloat16 has 8 significant bits: a step below 1/512 of
    the weight is rounded away, step after step, and nothing is learnt.
    """
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if narrow := [name for name, p in learned.items() if torch.finfo(p.dtype).bits < 32]:
        kind = str(learned[narrow[0]].dtype).removeprefix("torch.")
        raise UserError(
            f"{len(narrow)} of the {len(learned)} tensors that learn are held in {kind}, such as {narrow[0]}: steps of "
            f"--lr {rate:g} would be rounded away, and most weights would never move; hold in fp32 what learns "
            "(model.float()), and let autocast (--precision bf16) compute in bfloat16"
        )


def environment(checked: CheckedRecipe, model: PreTrainedModel | PeftModel, processes: int) -> dict[str, Any]:
    """What else decides the numbers: versions, device, precision, threads, data, the base model's weights."""
    packages = ("hyperfit", "torch", "transformers", "peft", "accelerate", "tokenizers")
    counted = learning(model)
    return {
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "device": str(checked.device),
        "device_name": device_name(checked.device),
        "precision": checked.precision,
        "attention": model.config._attn_implementation,
        "threads": torch.get_num_threads(),
        "processes": processes,
        "data_fingerprint": checked.corpus.fingerprint,
        "picture": checked.palette and [checked.palette.frame.height, checked.palette.frame.width],
        "weights_fingerprint": weights_fingerprint(checked.recipe.model),
        "training_sequences": len(checked.corpus.train),
        "validation_sequences": len(checked.corpus.validation),
        "trainable_parameters": counted.trainable,
        "parameters": counted.total,
        "adapted_blocks": list(counted.blocks),
        "blocks": counted.depth,
    }
