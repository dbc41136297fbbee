"""What the prefix cache saves: hyperfit beside plain PyTorch and TRL, on the same model, data, rank and batch.

    python benchmarks/prefix_cache.py                      # TinyLlama's proportions at reduced width
    python benchmarks/prefix_cache.py --shape qwen -o RESULT.json
    python benchmarks/prefix_cache.py --width 0 --device cuda    # the real shape, random weights

Five contestants, each a process of its own that trains when it is its turn, one step at a time, so that whatever else
the machine does falls on all of them alike:

    all      plain torch and peft, adapters in every block
    late     the same with layers_to_transform on the last blocks
    trl      TRL's SFTTrainer with its defaults and the adapter of "late" (pip install trl==1.16.0; left out if absent)
    off      hyperfit train --prefix-cache off
    cached   hyperfit train, the prefix cache filled anew

Printed: seconds per step (median and range over rounds), peak resident memory, ratios to "cached", and what the ratio
to "late" would be if only floating-point operations counted. The time of filling the cache is added in full to the
first epochs: "with fill" is a mean over --epochs. The weights are compared at the end: "off" and
"cached" must be equal bit for bit (else exit status 1); "late" computes the loss in one piece and is compared in size.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from machine import describe_machine, peak_mb
from peft import get_peft_model
from safetensors.torch import load_file, save_file
from shapes import config_of, make_texts, save_model
from torch import nn
from transformers import AutoModelForCausalLM, TrainerCallback

from hyperfit.models.adapt import late_stage_lora_config, lora_config
from hyperfit.models.families import blocks_of
from hyperfit.models.loading import load_model
from hyperfit.recipes.recipe import CacheMode, Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.training.checks import CheckedRecipe, check
from hyperfit.training.loop import Loop, adam, epoch_order
from hyperfit.training.loss import SequenceLoss
from hyperfit.training.setup import set_up
from hyperfit.training.state import State

CONTESTANTS = ("all", "late", "trl", "off", "cached")
LENGTH, LATE = 256, 5


def main() -> None:
    """Make model and texts, let the contestants take turns, print and judge."""
    settings = parse()
    if settings.worker:
        make(settings) if settings.worker == "make" else Worker(settings).serve()
        return
    names = [name for name in CONTESTANTS if name != "trl" or find_spec("trl")]
    with tempfile.TemporaryDirectory(dir=settings.folder) as place:
        folder = Path(place)
        subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--worker", "make", "--place", str(folder)], check=True
        )
        found = compete(settings, names, folder)
        weights = weights_of(folder)
    report(settings, found, weights)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shape", default="tinyllama", help="tiny (the embedded model), tinyllama, qwen, llama-8b, ..."
    )
    parser.add_argument("--width", type=int, help="hidden size; left out: the shape's reduced one; 0: the real one")
    parser.add_argument("--sequences", type=int, default=64, help="training sequences of 256 tokens")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=12, help="steps of each contestant after one to warm up")
    parser.add_argument("--epochs", type=int, default=20, help="over which the fill is spread")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("-o", "--output", type=Path, help="results as JSON")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def compete(settings: argparse.Namespace, names: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    """Seconds of every step, fill time and peak memory of each contestant."""
    processes = {name: start(name, folder) for name in names}
    begun = {name: answer(process) for name, process in processes.items()}
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(settings.rounds + 1):
        for name, process in processes.items():
            process.stdin.write("step\n")
            process.stdin.flush()
            seconds = answer(process)["seconds"]
            if turn:
                times[name].append(seconds)
        print(f"\rround {turn} of {settings.rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    found = {}
    for name, process in processes.items():
        process.stdin.close()
        found[name] = {"seconds": times[name], **begun[name], **answer(process)}
        process.wait()
    return found


def start(name: str, folder: Path) -> Any:
    """A contestant's process."""
    return subprocess.Popen(
        [sys.executable, __file__, *sys.argv[1:], "--worker", name, "--place", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def answer(process: Any) -> dict[str, Any]:
    """The next thing a contestant says; lines of libraries are passed over. Ends this process if it has failed."""
    for line in process.stdout:
        if line.startswith('{"'):
            return dict(json.loads(line))
    sys.exit(f"a contestant failed with {process.wait()}: {' '.join(process.args)}")


class Worker:
    """One contestant: makes ready, then takes a step whenever a line comes in."""

    def __init__(self, settings: argparse.Namespace) -> None:
        self.settings, self.name, self.folder = settings, settings.worker, settings.place

    def serve(self) -> None:
        """Train as often as the parent asks, and leave the adapter for the comparison."""
        model = {"all": self.plain, "late": self.plain, "trl": self.trl}.get(self.name, self.hyperfit)()
        gpu = torch.cuda.max_memory_allocated() / 1e6 if self.settings.device == "cuda" else None
        learned = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters() if p.requires_grad}
        save_file(learned, self.folder / f"{self.name}.safetensors")
        say(peak_mb=round(peak_mb(), 1), peak_gpu_mb=gpu)

    def turns(self) -> Iterator[None]:
        """Wait before every step until it is this contestant's turn, and say what the step took."""
        for _ in sys.stdin:
            started = time.perf_counter()
            yield
            if self.settings.device == "cuda":
                torch.cuda.synchronize()
            say(seconds=time.perf_counter() - started)

    def checked(self, cache: CacheMode) -> CheckedRecipe:
        """The checked recipe, as hyperfit train has it."""
        embedded = self.settings.shape == "tiny"
        recipe = Recipe(
            model="builtin:tiny" if embedded else str(self.folder / "model"),
            data="builtin:fiction" if embedded else str(self.folder / "texts"),
            samples=self.settings.sequences,
            heldout=0.0,
            length=LENGTH,
            batch_size=self.settings.batch_size,
            rank=self.settings.rank,
            late_blocks=LATE,
            lr=1e-3,
            device=self.settings.device,
            precision=self.settings.precision,
        )
        return check(recipe, RunDir(self.folder / "run"), False, recipe.device, prefix_cache=cache)

    def rows(self, checked: CheckedRecipe) -> Iterator[list[int]]:
        """The sequences of each step: hyperfit's own order, for everyone."""
        for epoch in itertools.count():
            yield from epoch_order(checked.recipe, epoch, len(checked.corpus.train), 1)

    def hyperfit(self) -> Any:
        """Train by hyperfit's own update, with or without the cache."""
        checked = self.checked("required" if self.name == "cached" else "off")
        model, prefix = set_up(checked, self.folder / "cache", lambda line: None)
        accelerator = Accelerator(mixed_precision="no", device_placement=False)
        state = State(model, adam(model, checked.recipe))
        loop = Loop(checked, RunDir(self.folder / "run"), state, prefix, accelerator, lambda: False, print)
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
            config = late_stage_lora_config(model, LATE, rank=checked.recipe.rank)
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
            peft_config=late_stage_lora_config(model, LATE, rank=checked.recipe.rank),
            callbacks=[Turns()],
        )
        trainer.train()
        return trainer.model

    @property
    def dtype(self) -> torch.dtype:
        """Of the frozen weights, for everyone."""
        return torch.bfloat16 if self.settings.precision == "bf16" else torch.float32


def make(settings: argparse.Namespace) -> None:
    """Model, tokenizer and texts in the folder; the shape tiny brings its own."""
    if settings.shape == "tiny":
        return
    config = config_of(settings.shape, settings.width, 2 * LENGTH)
    save_model(config, settings.place / "model", torch.bfloat16)
    make_texts(settings.place / "texts", settings.sequences, LENGTH)


def say(**values: Any) -> None:
    """One line to the parent."""
    print(json.dumps(values), flush=True)


def weights_of(folder: Path) -> dict[str, Any]:
    """How far "late" and "off" ended from "cached": bit for bit the same, and the largest difference, relatively."""
    trained = {name: load_file(folder / f"{name}.safetensors") for name in ("late", "off", "cached")}
    want, found = trained["cached"], {}
    size = max(float(tensor.abs().max()) for tensor in want.values())
    for name in ("late", "off"):
        assert trained[name].keys() == want.keys()
        apart = [float((trained[name][key] - want[key]).abs().max()) for key in want]
        found[name] = {"bit_equal": max(apart) == 0, "largest_difference": max(apart) / size}
    return found


def bound(settings: argparse.Namespace) -> dict[str, float]:
    """Multiplications of each contestant's step over those of "cached", from the shapes alone.

    A token costs a pass through a matrix of p weights p multiplications forward and p backward for the gradient of its
    input; a frozen matrix has no third part, an adapter has. Attention adds 2 x length x width each way (half of it
    masked out, but computed), twice backward. Norms, activations, softmax and the optimiser are left out.
    """
    config = config_of(settings.shape, settings.width, 2 * LENGTH)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    block = blocks_of(model)[0]
    linear = [m for m in block.modules() if isinstance(m, nn.Linear)]
    frozen = sum(m.weight.numel() for m in linear)
    adapter = sum(settings.rank * (m.in_features + m.out_features) for m in linear)
    heads = config.num_attention_heads * getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    attention, head = 2 * LENGTH * heads, config.vocab_size * config.hidden_size
    depth, late = len(blocks_of(model)), min(LATE, len(blocks_of(model)))
    plain, adapted = frozen + attention, frozen + attention + adapter
    backward = frozen + 2 * attention + 2 * adapter
    cached = late * (adapted + backward) + 2 * head
    counts = {
        "all": depth * (adapted + backward) + 2 * head,
        "late": (depth - late) * plain + cached,
        "trl": (depth - late) * (2 * plain + frozen + 2 * attention) + late * (2 * adapted + backward) + 2 * head,
        "off": (depth - late) * plain + cached,
        "cached": cached,
    }
    return {name: value / cached for name, value in counts.items()}


def report(settings: argparse.Namespace, found: dict[str, dict[str, Any]], weights: dict[str, Any]) -> None:
    """Print and save; exit status 1 if the cache changed a weight."""
    steps_an_epoch = -(-settings.sequences // settings.batch_size)
    fill = found["cached"]["fill_seconds"] / (settings.epochs * steps_an_epoch)
    allowed = bound(settings)
    rows = {}
    for name, numbers in found.items():
        ratios = [mine / cached for mine, cached in zip(numbers["seconds"], found["cached"]["seconds"], strict=True)]
        ratio = statistics.median(ratios)
        seconds = statistics.median(numbers["seconds"])
        cached = statistics.median(found["cached"]["seconds"])
        rows[name] = {
            "seconds": round(seconds, 4),
            "least": round(min(numbers["seconds"]), 4),
            "most": round(max(numbers["seconds"]), 4),
            "ratio": round(ratio, 3),
            "ratio_low": round(min(ratios), 3),
            "ratio_high": round(max(ratios), 3),
            "ratio_with_fill": round(ratio * cached / (cached + fill), 3),
            "counted": round(allowed[name], 3),
            "peak_mb": numbers["peak_mb"],
            "peak_gpu_mb": numbers["peak_gpu_mb"],
        }
    print(f"{'':8}{'s a step':>10}{'range':>16}{'ratio':>8}{'range':>14}{'with fill':>11}{'counted':>9}{'peak MB':>9}")
    for name, row in rows.items():
        spread, ratios = f"{row['least']:.3f}-{row['most']:.3f}", f"{row['ratio_low']:.2f}-{row['ratio_high']:.2f}"
        print(
            f"{name:8}{row['seconds']:10.3f}{spread:>16}{row['ratio']:8.2f}{ratios:>14}{row['ratio_with_fill']:11.2f}"
            f"{row['counted']:9.2f}{row['peak_gpu_mb'] or row['peak_mb']:9.0f}"
        )
    reached = rows["late"]["ratio"] / rows["late"]["counted"]
    print(f"of what counting allows against late: {reached:.2f}; the fill took {found['cached']['fill_seconds']:.1f} s")
    for name, numbers in weights.items():
        same = "the same, bit for bit" if numbers["bit_equal"] else f"within {numbers['largest_difference']:.1e}"
        print(f"weights of {name} and cached after {settings.rounds + 1} steps: {same}")
    if settings.output:
        result = {
            "command": ["python", *sys.orig_argv[1:]],
            "machine": describe_machine(),
            "threads": torch.get_num_threads(),
            "settings": {k: v for k, v in vars(settings).items() if k not in ("output", "worker", "place", "folder")},
            "contestants": rows,
            "fill_seconds": found["cached"]["fill_seconds"],
            "reached_of_counted": round(reached, 3),
            "weights_against_cached": weights,
        }
        settings.output.parent.mkdir(parents=True, exist_ok=True)
        settings.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(not weights["off"]["bit_equal"])


if __name__ == "__main__":
    main()
