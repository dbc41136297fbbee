"""hyperfit plan."""

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, ClassVar

from tyro.conf import Positional, arg

from hyperfit.commands.interface.output import Json, terminal
from hyperfit.planning.settings import PlanSettings

if TYPE_CHECKING:
    from rich.table import Table

    from hyperfit.planning.plan import Plan


@dataclass(frozen=True, kw_only=True)
class PlanCommand(PlanSettings):
    """Say what it takes to train a model: memory by kind, whether that fits, disk, time, and the line that starts it.

    Only the model's config is read, not its weights. One update is rehearsed by the code that trains, on tensors
    that have shapes and no values, and what it holds and computes is counted. Time is these operations at a rate that
    is given, so it is only as good as that. Each of several GPUs holds the whole model; where that does not fit, what
    each would hold of a model that FSDP2 divides among them is told, and the line that starts it where that fits.

    Example: hyperfit plan meta-llama/Llama-2-7b-hf --gpus 1 --gpu-memory 24 --batch-size 2
    """

    model: Annotated[Positional[str], arg(metavar="MODEL")]
    """Model folder, hub id, builtin:smollm2 or builtin:tiny; of a folder only its config.json is read."""
    json: Json = False
    """Print the plan as JSON: bytes and seconds."""

    groups: ClassVar = {
        "what learns": ("method", "late_blocks", "rank"),
        "sequences": ("samples", "length", "batch_size", "accumulate"),
        "machine": ("gpus", "gpu_memory", "tflops", "utilisation", "precision"),
        "what is printed": ("json",),
    }

    def run(self) -> None:
        """Print the plan."""
        from hyperfit.planning.plan import plan
        from hyperfit.runs.json_values import json_values

        found = plan(PlanSettings(**{field.name: getattr(self, field.name) for field in fields(PlanSettings)}))
        if self.json:
            print(json.dumps(json_values(found), ensure_ascii=False))
            return
        console = terminal()
        with console.capture() as page:
            console.print(table(found))
        print(page.get(), end="")
        for line in advice(found):
            print(line)


def table(found: "Plan") -> "Table":
    """A row a way to train."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from hyperfit.console import duration
    from hyperfit.numbers import GIGABYTES, UNDEFINED

    columns = ("", "blocks", "frozen", "learning", "Adam", "passing", "peak GB", "fits", "disk GB", "epoch")
    rows = Table(title=title(found), title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for heading in columns:
        rows.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for one in found.options:
        memory = (one.weights, one.learning, one.optimiser, one.passing, one.peak)
        rows.add_row(
            "  streaming" if one.streaming else one.method,
            str(one.blocks),
            *map(GIGABYTES, memory),
            "yes" if one.fits else "no",
            GIGABYTES(one.cache + one.checkpoints + one.result),
            UNDEFINED if one.epoch_seconds is None else duration(one.epoch_seconds),
        )
    return rows


def title(found: "Plan") -> str:
    """What the table is of."""
    from hyperfit.numbers import COUNT, GIGABYTES

    machine, first = found.machine, found.options[0]
    where = f"{machine.gpus} GPU{'s' * (machine.gpus > 1)}" if machine.gpus else "the CPU of this machine"
    return (
        f"{found.model}, {COUNT.told(first.parameters)} parameters, {found.precision}, batches of {first.batch_size}, "
        f"on {where} with {GIGABYTES(machine.memory)} GB{' each' * (machine.gpus > 1)}"
    )


def advice(found: "Plan") -> list[str]:
    """Lines below the table: how to read it, the commands, and what would fit of the rest."""
    from hyperfit.numbers import GIGABYTES, PERCENT
    from hyperfit.planning.machine import USABLE

    machine = found.machine
    lines = [
        "frozen: weights that do not learn; passing: activations, gradients, logits; disk: prefix cache, checkpoints, "
        "result",
        f"fits: in {PERCENT.told(USABLE)} of the memory",
    ]
    if not machine.gpus:
        least = min(one.program for one in found.options)
        lines[1] += f"; in the peak the program itself and gaps between tensors, {GIGABYTES(least)} GB or more"
    lines += [found.left_out] if found.left_out else []
    for one in found.options:
        name = f"{one.method}, streaming" if one.streaming else one.method
        if one.fits:
            lines.append(f"{name}: {one.command}")
        else:
            lines.append(f"{name}: does not fit" + (f"; it does with {one.instead}" if one.instead else ""))
        if not one.fits and one.shares is not None and one.divided_peak is not None:
            line = one.divided or "does not fit either"
            lines.append(
                f"{name}, divided among the GPUs, where weights, gradients and moments take {GIGABYTES(one.shares)} GB "
                f"of each, and {GIGABYTES(one.divided_peak)} GB with what passes: {line}"
            )
    return lines
