"""What a launcher may ask for, and which trainings go with it."""

import errno
import json
import os
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.distributed as dist
from safetensors import SafetensorError

from hyperfit.errors import UserError, collecting
from hyperfit.runs.directory import RunDir
from hyperfit.training.processes import launch, zero3
from hyperfit.training.saving import Saving
from hyperfit.training.train import train
from small_runs import quiet, recipe_for

ZERO3 = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "asks for DeepSpeed, .*--use_fsdp --fsdp_version 2 .*as ZeRO-3 does"),
        (
            {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"},
            "--gradient_accumulation_steps 4: would divide gradients once more; leave it out, and give --accumulate to",
        ),
        ({"ACCELERATE_USE_FSDP": "true"}, "asks for version 1 of FSDP; give .*--use_fsdp --fsdp_version 2"),
        (
            {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_OFFLOAD_PARAMS": "true"},
            "fsdp_offload_params true: has no effect here; leave it out",
        ),
        ({**ZERO3, "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"}, "asks for DeepSpeed, stage 2 of ZeRO; stage 3 is taken"),
        (
            {**ZERO3, "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "cpu"},
            "with offload_optimizer to cpu: has no effect here; leave it out",
        ),
        (
            {**ZERO3, "ACCELERATE_GRADIENT_CLIPPING": "1.0"},
            "with gradient_clipping of its own: leave it out; hyperfit has --clip",
        ),
        ({**ZERO3, "ACCELERATE_DEEPSPEED_CONFIG_FILE": "absent.json"}, "deepspeed_config_file absent.json: cannot be"),
    ],
)
def test_a_launch_is_refused_that_would_not_do_what_it_says(
    asked: dict[str, str], said: str, world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=said):
        train(recipe_for(world), tmp_path / "run", notify=quiet)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"zero_optimization": {"stage": 3}}, []),
        (
            {
                "zero_optimization": {"stage": 3, "offload_param": {"device": "none"}},
                "gradient_clipping": "auto",
                "gradient_accumulation_steps": "auto",
                "train_micro_batch_size_per_gpu": "auto",
                "bf16": {"enabled": True},
            },
            [],
        ),
        (
            {
                "zero_optimization": {"stage": 3, "offload_param": {"device": "nvme"}},
                "gradient_accumulation_steps": 4,
                "optimizer": {"type": "AdamW"},
            },
            ["with offload_param to nvme", "with gradient_accumulation_steps 4", "with optimizer of its own"],
        ),
        ({"bf16": {"enabled": True}}, [", stage 0 of ZeRO"]),
        ([], ["cannot be read"]),
        ({"zero_optimization": 3}, ["cannot be read"]),
    ],
)
def test_a_file_of_deepspeed_is_taken_if_zero3_is_all_it_asks_for(
    config: Any, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "zero.json"
    file.write_text(json.dumps(config))
    monkeypatch.setenv(zero3.USE, "true")
    monkeypatch.setenv(zero3.FILE, str(file))
    problems: list[str] = []
    with collecting(problems):
        launch.check_launch()
    assert len(problems) == len(told)
    assert all(one in problem for one, problem in zip(told, problems, strict=True))


def test_zero3_is_done_by_fsdp2(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCELERATE_USE_FSDP", "FSDP_VERSION"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(zero3.USE, "false")
    zero3.divide_by_fsdp2()
    assert not launch.asked("ACCELERATE_USE_FSDP")
    monkeypatch.setenv(zero3.USE, "true")
    zero3.divide_by_fsdp2()
    assert launch.asked("ACCELERATE_USE_FSDP")
    assert os.environ["FSDP_VERSION"] == "2"
    assert not launch.asked(zero3.USE)


def test_processes_that_do_not_see_each_other_are_refused(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine without a GPU accelerate takes each for the only one: they would write one folder."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"2 processes were launched, and accelerate finds no GPU .*_USE_CPU=true"):
        train(recipe_for(world), tmp_path / "run", notify=quiet)
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_divided_is_told_at_once(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperfit.training.train.divided", lambda: True)
    with pytest.raises(UserError) as caught:
        train(recipe_for(world, compile=True), tmp_path / "run", prefix_cache="required", streaming=True, notify=quiet)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "--method late-lora",
        "--prefix-cache required",
        "--streaming",
        "--compile",
    ]
    assert not (tmp_path / "run").exists()


def test_one_process_divides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert not launch.divided()


@pytest.mark.parametrize(
    ("error", "processes", "told"),
    [
        (RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer"), 2, True),
        (dist.DistBackendError("NCCL communicator was aborted"), 2, True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), 2, False),
        (RuntimeError("gloo"), 1, False),
    ],
)
def test_a_lost_process_is_told_and_nothing_else_is_taken_for_one(
    error: RuntimeError, processes: int, told: bool, tmp_path: Path
) -> None:
    with pytest.raises(UserError if told else RuntimeError) as caught, launch.telling_of_lost(tmp_path, processes):
        raise error
    assert isinstance(caught.value, UserError) == told


def test_a_device_of_another_kind_than_that_of_the_launch_is_refused(world: tuple[str, str]) -> None:
    class Several:
        num_processes, device = 2, torch.device("cpu:0")

    several: Any = Several()
    assert launch.device_of(recipe_for(world, device="cpu"), several) == "cpu:0"
    assert launch.device_of(recipe_for(world, device="auto"), several) == "cpu:0"
    with pytest.raises(UserError, match="--device cuda: this launch has its processes on cpu; leave it out"):
        launch.device_of(recipe_for(world, device="cuda"), several)


def test_a_full_disk_is_told_by_every_process(tmp_path: Path) -> None:
    """Each writes its part of a checkpoint, and only the first one's is written inside of ``writing``."""

    class Second:
        is_main_process, process_index, num_processes = False, 1, 2

        def wait_for_everyone(self) -> None:
            """Nobody else is there."""

    class Full:
        def write(self, *asked: object) -> None:
            raise SafetensorError(f"I/O error: {os.strerror(errno.ENOSPC)} (os error 28)")

    nothing: Any = None
    second, full, around = cast("Any", Second()), cast("Any", Full()), cast("Any", object())
    saving = Saving(nothing, RunDir(tmp_path), full, second, around)
    with pytest.raises(UserError, match=r"state: the disk is full \(\d+ MB free\); free some space and repeat"):
        saving.write_state(tmp_path / "state")
