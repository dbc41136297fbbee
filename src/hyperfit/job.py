"""A recipe checked against this machine: everything that can be wrong is said before weights are read."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.adapt import check_depth, learning
from hyperfit.corpus import Corpus, build_corpus, split_documents
from hyperfit.errors import UserError, collecting
from hyperfit.model import load_config, load_tokenizer, pick_device, pick_precision, positions_of
from hyperfit.recipe import Recipe
from hyperfit.rundir import RunDir


@dataclass(frozen=True)
class Job:
    """What a checked recipe comes to on this machine."""

    recipe: Recipe
    tokenizer: PreTrainedTokenizerBase
    corpus: Corpus
    device: torch.device
    precision: str

    def autocast(self) -> torch.autocast:
        """bfloat16 arithmetic where the job has it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def check(recipe: Recipe, run: RunDir, going_on: bool) -> Job:
    """Everything that can be wrong before the model's weights are read, reported together."""
    problems: list[str] = []
    device, tokenizer, corpus = torch.device("cpu"), None, None
    with collecting(problems):
        if going_on:
            check_same(recipe, run.recipe)
        else:
            run.check_free()
    with collecting(problems):
        device = pick_device(recipe.device)
    with collecting(problems):
        config = load_config(recipe.model)
        with collecting(problems):
            check_depth(recipe, config.num_hidden_layers)
        if (limit := positions_of(config)) and recipe.length > limit:
            problems.append(f"--length {recipe.length}: {recipe.model} knows {limit} positions; give at most {limit}")
        tokenizer = load_tokenizer(recipe.model)
    with collecting(problems):
        if tokenizer is not None:
            corpus = build_corpus(recipe, tokenizer)
        else:
            split_documents(recipe)  # the texts may have problems of their own
    if going_on and corpus is not None and corpus.fingerprint != run.environment["data_fingerprint"]:
        problems.append(f"--resume: the texts of {recipe.data} are not those this run was started with")
    if problems or tokenizer is None or corpus is None:
        raise UserError(*problems)
    return Job(recipe, tokenizer, corpus, device, pick_precision(recipe.precision, device))


def check_same(recipe: Recipe, started: Recipe) -> None:
    """Raises UserError that names each setting in which a resumed recipe differs."""
    now, then = recipe.to_dict(), started.to_dict()
    changed = [f"--{k.replace('_', '-')} was {then[k]}, is now {now[k]}" for k in now if now[k] != then[k]]
    if changed:
        raise UserError(
            f"--resume: the recipe changed: {'; '.join(changed)}. Repeat the first command with --resume, or start "
            "another run in a new --output folder"
        )


def environment(job: Job, model: PreTrainedModel | PeftModel) -> dict[str, Any]:
    """What else decides the numbers: versions, device, precision, threads, data."""
    packages = ("hyperfit", "torch", "transformers", "peft", "accelerate", "tokenizers")
    name = (
        torch.cuda.get_device_name(job.device)
        if job.device.type == "cuda"
        else platform.processor() or platform.machine()
    )
    counted = learning(model)
    return {
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "device": str(job.device),
        "device_name": name,
        "precision": job.precision,
        "attention": model.config._attn_implementation,
        "threads": torch.get_num_threads(),
        "data_fingerprint": job.corpus.fingerprint,
        "training_sequences": len(job.corpus.train),
        "validation_sequences": len(job.corpus.validation),
        "trainable_parameters": counted.trainable,
        "parameters": counted.total,
        "adapted_blocks": list(counted.blocks),
        "blocks": counted.depth,
    }
