"""hyperfit plan: the command on folders with a config, what would fit instead, and what is refused."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.launch import launch_command_parser

from hyperfit.cli import main, parse
from hyperfit.commands.train import Train
from hyperfit.models.loading import load_config
from hyperfit.planning.machine import Machine
from hyperfit.planning.options import Planner
from hyperfit.recipes.defaults import filled_in
from hyperfit.recipes.recipe import Precision, Recipe
from hyperfit.runs.directory import RunDir

GB = 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of which only the config is there: 4 blocks, width 256, 11 million parameters with its embedding."""
    config = {
        "model_type": "llama", "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4,
        "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 16000, "max_position_embeddings": 512,
    }  # fmt: skip
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    return tmp_path / "model"


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    main(["plan", *arguments, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_config_is_enough_and_every_way_to_train_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(capsys, str(folder), "--samples", "100")
    ways = [(one["method"], one["streaming"], one["blocks"]) for one in found["options"]]
    assert ways == [
        ("late-lora", False, 3), ("late-lora", True, 3), ("late-full", False, 3), ("late-full", True, 3),
        ("lora", False, 4), ("full", False, 4),
    ]  # fmt: skip
    block = 2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 704 + 2 * 256
    total = 4 * block + 2 * 16000 * 256 + 256
    by_way = {(one["method"], one["streaming"]): one for one in found["options"]}
    full, late = by_way["full", False], by_way["late-lora", False]
    assert full["parameters"] == full["trainable"] == total
    assert full["learning"] == full["result"] == 4 * total
    assert full["checkpoints"] == 3 * (full["learning"] + full["optimiser"])
    assert late["cache"] == 100 * 256 * 256 * 2
    assert late["result"] == 4 * late["trainable"]
    assert by_way["late-lora", True]["weights"] == pytest.approx(2 * (3 * block + 16000 * 256 + 256), rel=0.001)
    for one in found["options"]:
        parts = ("weights", "learning", "optimiser", "passing", "program")
        assert one["peak"] == sum(one[part] for part in parts)
        assert one["fits"]
        assert one["epoch_seconds"] > 0
    assert full["no_cache"] == "the first block learns, so there is nothing below it to store"


def test_the_commands_are_such_as_train_takes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--late-blocks", "2", "--rank", "16", "--batch-size", "4", "--samples", "50", "--length", "64")
    for one in planned(capsys, str(folder), *given)["options"]:
        start, *rest = shlex.split(one["command"])
        trained = parse(rest)
        assert start == "hyperfit"
        assert isinstance(trained, Train)
        assert (trained.method, trained.streaming) == (one["method"], one["streaming"])
        assert (trained.batch_size, trained.samples, trained.length) == (4, 50, 64)
        assert trained.late_blocks == (2 if "late" in one["method"] else None)
    several = planned(capsys, str(folder), "--gpus", "3", "--method", "lora")["options"]
    assert [one["command"] for one in several] == [
        f"accelerate launch --multi_gpu --num_processes 3 -m hyperfit train {folder} --data TEXTS --method lora"
    ]


@pytest.mark.parametrize(
    ("gpus", "memory", "precision", "launched"),
    [
        ("0", "80", "fp32", (False, False)),
        ("1", "80", "bf16", (False, False)),
        ("4", "80", "auto", (True, False)),
        ("4", "0.18", "fp32", (False, True)),
    ],
)
def test_a_line_does_what_the_plan_is_of(
    gpus: str,
    memory: str,
    precision: Precision,
    launched: tuple[bool, bool],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of several processes accelerate's own parser reads the beginning; launched: whole, or divided."""
    given = ("--gpus", gpus, "--gpu-memory", memory, "--precision", precision, "--method", "full", "--samples", "60")
    (one,) = planned(capsys, str(folder), *given, "--batch-size", "1")["options"]
    start, *rest = shlex.split(one["divided"] or one["command"])
    assert (start == "accelerate") == any(launched)
    if start == "accelerate":
        launch = launch_command_parser().parse_args(rest[1:])
        assert (launch.num_processes, launch.module, launch.training_script) == (4, True, "hyperfit")
        assert (launch.multi_gpu, launch.use_fsdp) == launched  # or it would go by its configuration
        rest = launch.training_script_args
    trained = parse(rest)
    assert isinstance(trained, Train)
    assert (trained.precision, trained.device) == (precision, "auto" if int(gpus) else "cpu")
    assert (trained.method, trained.batch_size, trained.samples) == ("full", 1, 60)


def test_the_line_for_this_machine_can_be_typed(
    world: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With texts in place of TEXTS; the run is of the kind that was planned."""
    small = ("--samples", "6", "--length", "16", "--batch-size", "2", "--rank", "4", "--method", "late-lora")
    one = planned(capsys, world[0], "--gpus", "0", "--precision", "bf16", *small)["options"][1]
    words = shlex.split(one["command"].replace("TEXTS", shlex.quote(world[1])))
    main([*words[1:], "--epochs", "1", "-o", str(tmp_path / "run")])
    run = RunDir.open(tmp_path / "run")
    assert "--streaming" in words
    assert (run.environment["precision"], run.environment["device"]) == ("bf16", "cpu")
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").stat().st_size >= one["result"]


def test_several_gpus_share_the_time_and_exchange_gradients(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = planned(capsys, str(folder), "--method", "lora", "--gpus", "1")["options"]
    (four,) = planned(capsys, str(folder), "--method", "lora", "--gpus", "4")["options"]
    assert four["epoch_seconds"] == pytest.approx(one["epoch_seconds"] / 4)
    assert four["peak"] == one["peak"] + one["learning"]
    (_, alone), (_, shared) = (
        planned(capsys, str(folder), "--method", "late-lora", "--gpus", gpus)["options"] for gpus in ("1", "4")
    )
    assert alone["streaming"]
    assert shared["fill_seconds"] == pytest.approx(alone["fill_seconds"] / 4)
    assert shared["command"].startswith("accelerate launch --multi_gpu --num_processes 4 -m hyperfit train")
    assert shared["command"].endswith("--streaming")


def test_where_the_whole_does_not_fit_several_gpus_may_divide_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 16 bytes a parameter each of four has four; adapters are not divided, nor is what one GPU holds."""
    (whole,) = planned(capsys, str(folder), "--method", "full", "--gpus", "4")["options"]
    assert whole["shares"] == pytest.approx(4 * whole["parameters"], rel=1e-4)
    assert whole["divided"] == ""
    tight = (str(folder), "--gpus", "4", "--gpu-memory", "0.18", "--batch-size", "1")
    (full,), (lora,) = (planned(capsys, *tight, "--method", method)["options"] for method in ("full", "lora"))
    assert not full["fits"]
    assert full["divided"] == (
        "accelerate launch --use_fsdp --fsdp_version 2 --num_processes 4 -m hyperfit train "
        f"{folder} --data TEXTS --method full --batch-size 1"
    )
    assert full["shares"] < full["divided_peak"] <= 0.9 * 0.18 * GB
    assert (lora["shares"], lora["divided_peak"], lora["divided"]) == (None, None, "")
    (single,) = planned(capsys, str(folder), "--method", "full", "--gpus", "1")["options"]
    assert single["shares"] is None
    main(["plan", *tight, "--method", "full"])
    assert "full, divided among the GPUs, where weights, gradients and moments take 0.04 GB" in capsys.readouterr().out


def test_no_line_is_offered_whose_passes_do_not_fit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights, gradients and moments would, on each of four GPUs; embedding and head, which are whole there, do not."""
    tight = (str(folder), "--gpus", "4", "--gpu-memory", "0.1", "--batch-size", "1", "--method", "full")
    (full,) = planned(capsys, *tight)["options"]
    outside = 4 * (2 * 16000 * 256 + 256)
    assert full["shares"] < 0.9 * 0.1 * GB < full["shares"] + 2 * outside
    assert full["divided_peak"] > full["shares"] * 3 / 4 + outside
    assert full["divided"] == ""
    main(["plan", *tight])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("full, divided"))
    assert line.endswith(f"and {full['divided_peak'] / GB:.2f} GB with what passes: does not fit either")
    (few,), (many,) = (planned(capsys, *tight, "--accumulate", count)["options"] for count in ("1", "2"))
    assert many["divided_peak"] == few["divided_peak"] + few["learning"] // 4  # gradients are there from the first on


def test_time_is_operations_at_the_rate_that_is_given(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (slow,) = planned(capsys, str(folder), "--method", "full", "--tflops", "10", "--utilisation", "0.5")["options"]
    (fast,) = planned(capsys, str(folder), "--method", "full", "--tflops", "100", "--utilisation", "0.25")["options"]
    assert slow["epoch_seconds"] == pytest.approx(5 * fast["epoch_seconds"])
    (here,) = planned(capsys, str(folder), "--method", "full", "--gpus", "0")["options"]
    assert here["epoch_seconds"] is None
    assert here["program"] > 0


@pytest.mark.parametrize(("method", "streaming"), [("late-full", True)])
def test_what_is_said_to_fit_instead_does_and_twice_of_it_does_not(
    folder: Path, method: str, streaming: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def option(*more: str) -> dict[str, Any]:
        found = planned(capsys, str(folder), "--method", method, "--length", "64", *more)["options"]
        return next(one for one in found if one["streaming"] == streaming)

    known = option("--gpu-memory", "0.3")
    room = f"{(known['peak'] - known['passing'] * 0.4) / GB:.6f}"
    tight = option("--gpu-memory", room)
    assert not tight["fits"]
    flag, size = tight["instead"].split()
    assert flag == "--batch-size"
    assert option("--gpu-memory", room, flag, size)["fits"]
    assert not option("--gpu-memory", room, flag, str(2 * int(size)))["fits"]


def test_fewer_blocks_are_offered_where_no_batch_is_small_enough(folder: Path) -> None:
    config = load_config(str(folder), weights=False)
    recipe = filled_in(Recipe(model=str(folder), data="d", method="late-full", batch_size=2, length=32), 4, 256)
    wide = Planner(config, Machine(gpus=1, memory=80 * GB, program=0, rate=None))
    single = next(wide.options(filled_in(Recipe(**{**vars(recipe), "late_blocks": 1, "batch_size": 1}), 4, 256)))
    tight = Planner(config, Machine(gpus=1, memory=round(single.peak / 0.9) + 1000, program=0, rate=None))
    assert next(tight.options(recipe)).instead == "--batch-size 1 --late-blocks 1"
    none = Planner(config, Machine(gpus=1, memory=10**7, program=0, rate=None))
    assert next(none.options(recipe)).instead == ""


def test_the_table_says_what_fits_and_how(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", str(folder), "--gpu-memory", "0.3"])
    out = capsys.readouterr().out
    assert "11.1 million parameters, bf16, batches of 8, on 1 GPU with 0.30 GB" in " ".join(out.split())
    assert f"late-lora: hyperfit train {folder} --data TEXTS --method late-lora\n" in out
    assert "full: does not fit" in out


def test_every_problem_is_told_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, told in (
        (["--gpus", "-1", "--gpu-memory", "0", "--rank", "0"], ["--gpus -1", "--gpu-memory 0", "--rank 0"]),
        (["--utilisation", "1.5", "--tflops", "nan"], ["--utilisation 1.5", "--tflops nan"]),
        (["--late-blocks", "9", "--rank", "512", "--length", "600"], ["4 blocks", "--rank 512", "512 positions"]),
        (["--method", "full", "--late-blocks", "2"], ["--late-blocks 2: has no effect with --method full"]),
    ):
        with pytest.raises(SystemExit) as left:
            main(["plan", str(folder), *arguments])
        assert left.value.code == 2
        error = capsys.readouterr().err
        assert all(one in error for one in told), error


def test_a_folder_without_a_config_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["plan", str(tmp_path)])
    assert left.value.code == 2
    assert "no config.json" in capsys.readouterr().err
