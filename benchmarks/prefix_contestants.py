"""The contestants of prefix_cache.py: ways to train the same model, each a step when it is its turn."""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from accelerate import Accelerator
from machine import peak_mb
from peft import get_peft_model
from safetensors.torch import save_file
from shapes import BUILTIN
from transformers import TrainerCallback

from hyperfit.models.adapt import late_stage_lora_config
from hyperfit.models.loading import load_model
from hyperfit.models.structure.layout import blocks_of
from hyperfit.models.targets import lora_config
from hyperfit.recipes.recipe import CacheMode, Method, Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.training.checks import CheckedRecipe, check
from hyperfit.training.loop import Loop, epoch_order
from hyperfit.training.loss import SequenceLoss
from hyperfit.training.setup import set_up
from hyperfit.training.state import State
from hyperfit.training.train import adam

HYPERFIT: dict[str, tuple[Method, CacheMode]] = {
    "lora": ("lora", "off"),
    "full": ("full", "off"),
    "off": ("late-lora", "off"),
    "cached": ("late-lora", "required"),
    "late-full": ("late-full", "required"),
}
"""What hyperfit train is told. A method more is a line here and one in prefix_counts.py."""
CONTESTANTS = ("all", "late", "trl", *HYPERFIT)
COMPARED = ("late", "off", "cached")
"""Those that train the same adapter in the same order."""
LENGTH = 256


class Worker:
    """One contestant: makes ready, then takes a step whenever a line comes in."""

    def __init__(self, settings: argparse.Namespace) -> None:
        self.settings, self.name, self.folder = settings, settings.worker, settings.place

    def serve(self) -> None:
        """Train as often as the parent asks, and leave the adapter if it is to be compared."""
        model = {"all": self.plain, "late": self.plain, "trl": self.trl}.get(self.name, self.hyperfit)()
        gpu = torch.cuda.max_memory_allocated() / 1e6 if self.settings.device == "cuda" else None
        peak = round(peak_mb(), 1)
        if self.name in COMPARED:
            learned = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters() if p.requires_grad}
            save_file(learned, self.folder / f"{self.name}.safetensors")
        say(peak_mb=peak, peak_gpu_mb=gpu)

    def turns(self) -> Iterator[None]:
        """Wait before every step until it is this contestant's turn, and say what the step took."""
        for _ in sys.stdin:
            started = time.perf_counter()
            yield
            if self.settings.device == "cuda":
                torch.cuda.synchronize()
            say(seconds=time.perf_counter() - started)

    def checked(self, cache: CacheMode, method: Method = "late-lora") -> CheckedRecipe:
        """The checked recipe, as hyperfit train has it."""
        builtin = self.settings.shape in BUILTIN
        recipe = Recipe(
            model=f"builtin:{self.settings.shape}" if builtin else str(self.folder / "model"),
            data="builtin:fiction" if builtin else str(self.folder / "texts"),
            samples=self.settings.sequences,
            heldout=0.0,
            length=LENGTH,
            method=method,
            batch_size=self.settings.batch_size,
            rank=self.settings.rank,
            late_blocks=self.settings.late_blocks,
            lr=1e-3 if "lora" in method else None,
            device=self.settings.device,
            precision=self.settings.precision,
        )
        return check(recipe, RunDir(self.folder / "run"), False, recipe.device, prefix_cache=cache)

    def rows(self, checked: CheckedRecipe) -> Iterator[list[int]]:
        """The sequences of each step: hyperfit's own order, for everyone."""
        for epoch in itertools.count():
            yield from epoch_order(checked.recipe, epoch, len(checked.corpus.train), 1)

    def hyperfit(self) -> Any:
        """Train by hyperfit's own update."""
        method, cache = HYPERFIT[self.name]
        checked = self.checked(cache, method)
        model, prefix = set_up(checked, self.folder / "cache", lambda line: None)
        accelerator = Accelerator(mixed_precision="no", device_placement=False)
        state = State(model, adam(model, checked.recipe))
        loop = Loop(
            checked, RunDir(self.folder / "run"), state, prefix, accelerator, lambda: False, print, lambda event: None
        )
        loss, optimizer = accelerator.prepare(SequenceLoss(model, checked.autocast), state.optimizer)
        say(fill_seconds=prefix.entry.about["fill"]["seconds"] if prefix else 0.0)
        for _, rows in zip(self.turns(), self.rows(checked), strict=False):
            loop.update(loss, optimizer, rows)
        return model

    def plain(self) -> Any:
        """What one writes with torch and peft."""
        checked = self.checked("off")
        model = load_model(checked.recipe.model, device=checked.device, dtype=self.dtype)
        if self.name == "late":
            config = late_stage_lora_config(model, self.settings.late_blocks, rank=checked.recipe.rank)
        else:
            config = lora_config(
                model, range(len(blocks_of(model))), rank=checked.recipe.rank, alpha=None, target_modules=()
            )
        torch.manual_seed(checked.recipe.seed)
        adapted = get_peft_model(model, config)
        learned = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(learned, lr=checked.recipe.learning_rate, weight_decay=0.0)
        say(fill_seconds=0.0)
        for _, rows in zip(self.turns(), self.rows(checked), strict=False):
            ids = checked.corpus.train[rows].to(checked.device)
            with checked.autocast():
                loss = adapted(input_ids=ids, labels=ids, use_cache=False).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return adapted

    def trl(self) -> Any:
        """TRL's trainer, held at the beginning of every step."""
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        checked = self.checked("off")
        model = load_model(checked.recipe.model, device=checked.device, dtype=self.dtype)
        turns = self.turns()

        class Turns(TrainerCallback):
            def on_train_begin(self, *given: Any, **kwargs: Any) -> None:
                say(fill_seconds=0.0)

            def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                control.should_training_stop = next(turns, "end") == "end"

        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=str(self.folder / "trl"),
                per_device_train_batch_size=self.settings.batch_size,
                num_train_epochs=1000,
                use_cpu=self.settings.device == "cpu",
                bf16=self.settings.precision == "bf16",
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list([{"input_ids": row} for row in checked.corpus.train.tolist()]),
            processing_class=checked.tokenizer,
            peft_config=late_stage_lora_config(model, self.settings.late_blocks, rank=checked.recipe.rank),
            callbacks=[Turns()],
        )
        trainer.train()
        return trainer.model

    @property
    def dtype(self) -> torch.dtype:
        """Of the frozen weights, for everyone."""
        return torch.bfloat16 if self.settings.precision == "bf16" else torch.float32


def say(**values: Any) -> None:
    """One line to the parent."""
    print(json.dumps(values), flush=True)
