"""Which finished run is the training that a study wants: the same recipe in any words, on a machine like this one."""

import json
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.studies.grid.training import ONLY_LOOKS, find_done, machine, train_trial, what_trains
from hyperfit.studies.placement.design import Design
from hyperfit.studies.placement.train import train_trials
from hyperfit.training.train import train
from small_runs import assert_same, quiet, recipe_for
from tiny_models import BLOCKS, WIDTH

CPU = torch.device("cpu")
OTHER: dict[str, Any] = {
    "model": "other", "data": "other", "text_column": "text", "image_column": "picture", "skip_unusable": True,
    "samples": 5, "length": 17, "chunking": "packed", "heldout": 0.2,
    "method": "full", "late_blocks": 3, "target_modules": ("q_proj",), "rank": 5, "alpha": 3.0,
    "lr": 0.1, "weight_decay": 0.1, "clip": 1.0, "batch_size": 3, "accumulate": 2, "epochs": 7, "stop_loss": 0.3,
    "stop": "auto", "unlikelihood": 1.0, "stop_copying": 0.5, "heldout_seed": 3, "order_seed": 3, "order_swaps": 3,
    "probe_every": 3, "greedy_every": 3, "probe_texts": 3, "validation_samples": 3, "checkpoint_every": 3,
    "keep_every": 3, "seed": 3, "device": "cuda", "compile": True, "precision": "bf16",
}  # fmt: skip
"""Another value of every setting that a late-lora recipe has."""


@pytest.fixture(scope="module")
def run(world: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Looked at often, and each second epoch kept."""
    recipe = recipe_for(world, epochs=4, keep_every=2, checkpoint_every=2)
    return train(recipe, tmp_path_factory.mktemp("runs") / "run", notify=quiet)


@pytest.fixture
def copied(run: RunDir, tmp_path: Path) -> RunDir:
    shutil.copytree(run.path, tmp_path / "copy")
    return RunDir(tmp_path / "copy")


def here(recipe: Recipe) -> dict[str, Any]:
    return machine(recipe, CPU)


# The same training


@pytest.mark.parametrize("name", OTHER)
def test_a_recipe_with_one_other_setting_is_another_unless_that_only_looks(name: str) -> None:
    assert set(OTHER) == {field.name for field in fields(Recipe)} - {"blocks"}
    recipe = Recipe(model="m", data="d", late_blocks=2)
    same = what_trains(recipe, 6) == what_trains(replace(recipe, **{name: OTHER[name]}), 6)
    assert same == (name in (*ONLY_LOOKS, "device", "precision"))


def test_one_training_in_several_words() -> None:
    late = Recipe(model="m", data="d", late_blocks=2, rank=8, lr=1e-3)
    by_name = Recipe(model="m", data="d", method="lora", blocks=(5, 4), rank=8, alpha=8.0, lr=1e-3)
    assert what_trains(late, 6) == what_trains(by_name, 6)
    assert what_trains(late, 7) != what_trains(by_name, 7)
    everywhere = Recipe(model="m", data="d", method="lora", rank=8, lr=1e-3)
    assert what_trains(everywhere, 2) == what_trains(late, 2)
    whole = Recipe(model="m", data="d", method="late-full", late_blocks=2, rank=8, alpha=3.0)
    assert what_trains(whole, 6) == what_trains(replace(whole, rank=4, target_modules=("q_proj",)), 6)
    assert what_trains(whole, 6) != what_trains(replace(whole, late_blocks=3), 6)
    full = replace(whole, method="full")
    assert what_trains(full, 6) == what_trains(replace(full, late_blocks=3), 6) != what_trains(whole, 6)


# Finding it


def test_a_run_is_found_by_another_way_to_say_what_it_is(run: RunDir) -> None:
    said = replace(run.recipe, method="lora", blocks=(4, 5), probe_texts=1, greedy_every=0, keep_every=0)
    assert find_done(said, [run], here(said)) == run
    assert find_done(replace(said, epochs=2), [run], here(said)) is None
    found = find_done(replace(said, epochs=2), [run, *run.kept.values()], here(said))
    assert found == run.kept[2], "an epoch that was kept is the run that was to end there"
    assert find_done(replace(said, seed=1), [run], here(said)) is None


@pytest.mark.parametrize("name", ["device_name", "precision", "threads", "processes"])
def test_another_machine_has_other_numbers_or_times(run: RunDir, name: str) -> None:
    assert set(here(run.recipe)) == {"device_name", "precision", "threads", "processes"}
    assert find_done(run.recipe, [run], {**here(run.recipe), name: "other"}) is None


def edited(file: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[RunDir], None]:
    def edit(run: RunDir) -> None:
        content = json.loads((run.path / file).read_text())
        change(content)
        (run.path / file).write_text(json.dumps(content))

    return edit


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda run: (run.path / "adapter" / "adapter_model.safetensors").unlink(), id="no weights"),
        pytest.param(lambda run: shutil.rmtree(run.path / "adapter"), id="no result"),
        pytest.param(lambda run: run.append({"event": "end", "reason": "interrupted"}), id="interrupted"),
        pytest.param(lambda run: run.append({"event": "end", "reason": "nan"}), id="diverged"),
        pytest.param(lambda run: (run.path / "recipe.json").write_text("{"), id="recipe"),
        pytest.param(lambda run: (run.path / "environment.json").unlink(), id="environment"),
        pytest.param(lambda run: run.events_file.write_text("?\n"), id="log"),
        pytest.param(edited("environment.json", lambda known: known.pop("blocks")), id="of an older version"),
        pytest.param(edited("environment.json", lambda known: known.update(prefix_cache=None)), id="no prefix cache"),
    ],
)
def test_what_is_not_whole_or_had_no_cache_is_passed_over(
    run: RunDir, copied: RunDir, spoil: Callable[[RunDir], None]
) -> None:
    assert find_done(copied.recipe, [copied], here(run.recipe)) == copied
    spoil(copied)
    assert find_done(run.recipe, [copied, run], here(run.recipe)) == run


def test_where_no_block_is_frozen_there_is_no_cache_to_miss(world: tuple[str, str], tmp_path: Path) -> None:
    run = train(recipe_for(world, method="full", epochs=1), tmp_path / "run", notify=quiet)
    assert run.environment["prefix_cache"] is None
    assert find_done(replace(run.recipe, rank=9), [run], here(run.recipe)) == run


# Using it


def test_the_run_takes_the_place_of_its_training(run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be trained is the run, weight for weight; with it nothing is trained, and the run stays as it is."""
    design = Design(recipe=run.recipe, depth=BLOCKS, width=WIDTH)
    monkeypatch.setattr(Design, "trials", lambda self: iter([(self.reference,)]))
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    said: list[str] = []
    (found,) = train_trials(design, tmp_path / "none", elsewhere=lambda recipe: run, notify=said.append)
    anew = train_trial(design.reference, tmp_path)
    assert not (tmp_path / "none").exists()
    assert before == {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    assert find_done(design.reference.recipe, [run], here(run.recipe)) == run
    assert_same(run.path, anew.run.path)
    assert (found.run, found.found, anew.found) == (run, True, False)
    assert said[1].endswith("(trained before)")
    for name in ("trial", "parameters", "epochs", "reason", "train_loss"):
        assert getattr(found, name) == getattr(anew, name)
    seconds = sorted(event["seconds"] for event in run.events("epoch")[1:])
    assert found.epoch_seconds == pytest.approx((seconds[1] + seconds[2]) / 2)
    assert found.cache_seconds == run.environment["prefix_cache"]["seconds"]
