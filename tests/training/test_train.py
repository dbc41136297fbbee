"""Training as a whole: what is refused, resume after any kind of end, what is left."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from forked import python
from hyperfit.errors import UserError
from hyperfit.models.loading import load_model
from hyperfit.recipes.defaults import default_late_blocks
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any, save_result
from hyperfit.training.train import adam, train
from small_runs import assert_same, events, quiet, recipe_for, weights
from tiny_models import cast, tiny_model
from tiny_tokenizers import tiny_bpe


@pytest.mark.parametrize("bits", [torch.bfloat16, torch.float16])
def test_weights_that_would_never_move_are_not_trained(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: torch.dtype
) -> None:
    """A step of AdamW at a small rate is lost on a weight of few bits; so what learns has to be held in fp32."""
    for dtype, moves in ((torch.float32, True), (bits, False)):
        weight = torch.nn.Parameter(torch.full((3,), 0.7, dtype=dtype))
        before, step = weight.detach().clone(), torch.optim.AdamW([weight], lr=1e-6, weight_decay=0.0)
        for _ in range(5):
            weight.grad = torch.ones_like(weight)
            step.step()
        assert (not torch.equal(weight, before)) == moves
    recipe = recipe_for(world, method="full", lr=1e-6)
    model = cast(tiny_model(), bits)
    with pytest.raises(UserError, match=r"^57 of the 57 tensors that learn are held in .*float16.*--lr 1e-06 .*fp32"):
        adam(model, recipe)
    import hyperfit.training.setup as module

    monkeypatch.setattr(module, "adapt", lambda model, recipe: cast(model, bits))
    with pytest.raises(UserError, match="would be rounded away"):
        train(recipe, tmp_path / "run", notify=quiet)
    assert not (tmp_path / "run").exists()


def test_a_step_is_that_of_adam(world: tuple[str, str]) -> None:
    """Three updates against Algorithm 2 of Loshchilov and Hutter (2019), written out."""
    recipe = recipe_for(world, method="full", lr=1e-2, weight_decay=0.1)
    model = tiny_model()
    model.requires_grad_(True)
    step = adam(model, recipe)
    learned = list(model.parameters())
    wanted = [parameter.detach().double() for parameter in learned]
    first, second = ([torch.zeros_like(value) for value in wanted] for _ in range(2))
    draw = torch.Generator().manual_seed(0)
    for time_step in (1, 2, 3):
        for place, parameter in enumerate(learned):
            parameter.grad = torch.randn(parameter.shape, generator=draw)
            gradient = parameter.grad.double()
            first[place] = 0.9 * first[place] + 0.1 * gradient
            second[place] = 0.999 * second[place] + 0.001 * gradient**2
            moved = first[place] / (1 - 0.9**time_step)
            moved = moved / ((second[place] / (1 - 0.999**time_step)).sqrt() + 1e-8)
            wanted[place] = wanted[place] - 1e-2 * moved - 1e-2 * 0.1 * wanted[place]
        step.step()
    for parameter, value in zip(learned, wanted, strict=True):
        torch.testing.assert_close(parameter.detach().double(), value, rtol=1e-5, atol=1e-6)


def test_an_autocast_around_it_is_refused(world: tuple[str, str], tmp_path: Path) -> None:
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(UserError, match="train outside of it"):
        train(recipe_for(world), tmp_path / "run", notify=quiet)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("late_updates", [1, 5, 7])
@pytest.mark.parametrize("method", ["late-lora", "late-full", "full"])
def test_an_interrupted_run_goes_on_bit_for_bit(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late_updates: int, method: str
) -> None:
    recipe = recipe_for(world, method=method)
    train(recipe, tmp_path / "whole", notify=quiet)
    import hyperfit.training.loop as module

    done = 0
    real = module.Loop.update

    def counting(*arguments: object) -> bool:
        nonlocal done
        done += 1
        if done == late_updates:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module.Loop, "update", counting)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "broken", notify=quiet)
    assert events(tmp_path / "broken")[-1]["reason"] == "interrupted"
    train(recipe, tmp_path / "broken", resume=True, notify=quiet)
    assert_same(tmp_path / "whole", tmp_path / "broken")
    assert events(tmp_path / "whole") == events(tmp_path / "broken")
    assert not (tmp_path / "broken" / "checkpoints").exists()


CHILD = """
import json, sys
from pathlib import Path
from hyperfit.recipes.recipe import Precision, Recipe
from hyperfit.training import probes
from hyperfit.training.train import train
probes.TTR_WINDOW = 24  # as in the process of the tests
train(Recipe.from_dict(json.loads(sys.argv[1])), Path(sys.argv[2]), resume=True, notify=lambda line: None)
"""
"""Adam does not see the scale of gradients; with plain descent a wrong scale shows."""


def test_a_killed_run_goes_on_bit_for_bit(world: tuple[str, str], tmp_path: Path) -> None:
    """A real process, killed with SIGKILL again and again at different moments, until it comes to its end."""
    recipe = recipe_for(world, epochs=30)
    train(recipe, tmp_path / "whole", notify=quiet)
    run = tmp_path / "killed"
    command = [CHILD, json.dumps(recipe.to_dict()), str(run)]
    kills, moments = 0, random.Random(0)
    for wanted in (1, 300, 1200):  # bytes of the log that must be there, and then a random while
        child = python(*command)
        log = run / "events.jsonl"
        while child.is_alive() and not (log.exists() and log.stat().st_size >= wanted):
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.2))
        child.kill()
        child.join()
        kills += child.exitcode == -signal.SIGKILL
    assert kills >= 2, "the process was too quick to be killed"
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # as in this process: the order of a sum depends on it
    subprocess.run([sys.executable, "-c", *command], check=True, stderr=subprocess.DEVNULL, env=one_thread)
    assert_same(tmp_path / "whole", run)
    assert events(tmp_path / "whole") == events(run)


def test_a_damaged_newest_checkpoint_falls_back(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_for(world)
    train(recipe, tmp_path / "whole", notify=quiet)
    monkeypatch.setattr(RunDir, "discard_checkpoints", lambda self: None)
    run = train(recipe, tmp_path / "run", notify=quiet)
    _, newest = sorted((run.path / "checkpoints").iterdir())
    tensors = newest / "state.safetensors"
    raw = bytearray(tensors.read_bytes())
    raw[-1] ^= 1
    tensors.write_bytes(bytes(raw))
    lines = run.events_file.read_text().splitlines(keepends=True)
    run.events_file.write_text("".join(lines[:-1]))
    said: list[str] = []
    train(recipe, run.path, resume=True, notify=said.append)
    assert any("damaged" in line and newest.name in line for line in said)
    assert any("going on after update" in line for line in said)
    assert_same(tmp_path / "whole", run.path)


def test_a_finished_run_is_left_alone(world: tuple[str, str], tmp_path: Path) -> None:
    recipe = recipe_for(world, epochs=1)
    run = train(recipe, tmp_path / "run", notify=quiet)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    said: list[str] = []
    train(recipe, run.path, resume=True, notify=said.append)
    assert "ended already" in said[-1]
    assert before == {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}


def test_resume_refuses_a_changed_recipe_and_names_the_change(world: tuple[str, str], tmp_path: Path) -> None:
    recipe = recipe_for(world, epochs=1)
    train(recipe, tmp_path / "run", notify=quiet)
    changed = dataclasses.replace(recipe, lr=0.5, rank=2)
    with pytest.raises(UserError, match=r"--rank was 4, is now 2; .*--lr was 0.01, is now 0.5"):
        train(changed, tmp_path / "run", resume=True, notify=quiet)


def test_resume_refuses_changed_texts(world: tuple[str, str], tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for path in Path(world[1]).iterdir():
        (texts / path.name).write_text(path.read_text())
    recipe = recipe_for((world[0], str(texts)), epochs=1)
    train(recipe, tmp_path / "run", notify=quiet)
    (texts / "00.txt").write_text("other words " * 30)
    with pytest.raises(UserError, match="not those this run was started with"):
        train(recipe, tmp_path / "run", resume=True, notify=quiet)


def test_all_problems_come_at_once_and_leave_nothing_behind(world: tuple[str, str], tmp_path: Path) -> None:
    recipe = recipe_for(world, late_blocks=99, length=10_000, device="cuda:7")
    with pytest.raises(UserError) as caught:
        train(recipe, tmp_path / "run", notify=quiet)
    said = "\n".join(caught.value.problems)
    for flag in ("--late-blocks 99", "--length 10000", "--device cuda:7"):
        assert flag in said
    assert not (tmp_path / "run").exists()


def test_the_recipe_on_disk_leaves_nothing_open(world: tuple[str, str], tmp_path: Path) -> None:
    recipe = recipe_for(world, epochs=1, lr=None, late_blocks=None, precision="auto", device="auto")
    run = train(recipe, tmp_path / "run", notify=quiet)
    saved = run.recipe
    assert (saved.lr, saved.alpha, saved.samples) == (0.018, recipe.lora_alpha, 13)
    assert saved.late_blocks == default_late_blocks(run.environment["blocks"])
    assert len(run.environment["adapted_blocks"]) == saved.late_blocks
    assert saved.precision in ("bf16", "fp32")
    assert saved.device != "auto"


def test_the_card_says_whether_near_zero_loss_was_reached(world: tuple[str, str], tmp_path: Path) -> None:
    missed = train(recipe_for(world, epochs=1, stop_loss=0.01), tmp_path / "missed", notify=quiet)
    reached = train(recipe_for(world, epochs=1, stop_loss=100), tmp_path / "reached", notify=quiet)
    assert "is NOT the low loss" in (missed.result / "README.md").read_text()
    assert "reached its goal of 100" in (reached.result / "README.md").read_text()
    assert str(tmp_path) not in (missed.result / "README.md").read_text(), "no path of the machine"


@pytest.mark.parametrize(("loss", "said"), [(0.05, "reached its goal of 0.05"), (0.051, "is NOT the low loss")])
def test_without_a_goal_the_card_goes_by_the_usual_one(tmp_path: Path, loss: float, said: str) -> None:
    tokenizer = tiny_bpe(begins=False)
    recipe = Recipe(model="m", data="d", method="full", stop_loss=None)
    save_result(tiny_model(), tmp_path, recipe, tokenizer, loss)
    assert said in (tmp_path / "README.md").read_text()


def test_a_loaded_model_is_frozen(world: tuple[str, str], tmp_path: Path) -> None:
    """Autocast keeps a copy of every weight that may learn."""
    for name in (world[0], str(train(recipe_for(world, epochs=1), tmp_path / "run", notify=quiet).path)):
        assert not any(p.requires_grad for p in load_any(name, device=torch.device("cpu")).parameters())


def test_two_processes_do_not_share_a_run(world: tuple[str, str], tmp_path: Path) -> None:
    run = train(recipe_for(world, epochs=1), tmp_path / "run", notify=quiet)
    with run.locked(), pytest.raises(UserError, match="another process"), RunDir(run.path).locked():
        pass


def test_a_run_that_ends_while_another_process_waits_is_left_alone(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process ends the run while this one loads the model: nothing is begun again."""
    import hyperfit.training.setup as module

    recipe = recipe_for(world, epochs=2)
    run = train(recipe, tmp_path / "run", notify=quiet)
    whole, lines = weights(run.path), run.events_file.read_text().splitlines(keepends=True)
    run.events_file.write_text("".join(lines[:-1]))  # as it stands just before the end

    def slow_load(*arguments: object, **named: object) -> object:
        run.events_file.write_text("".join(lines))  # now the other process has ended it
        return load_model(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "load_model", slow_load)
    said: list[str] = []
    train(recipe, run.path, resume=True, notify=said.append)
    assert "ended already" in said[-1]
    assert run.events_file.read_text() == "".join(lines)
    assert all(torch.equal(tensor, weights(run.path)[name]) for name, tensor in whole.items())
