"""Training in two and three real processes that share the texts, and the filling of the prefix cache: as one does."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist

from hyperfit.models.devices import device_name
from hyperfit.prefix.disk.store import Entry, entries
from hyperfit.prefix.processes import ALONE, Processes
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.training.processes.machine import on_this_machine
from hyperfit.training.train import train
from launched import job, launch
from small_runs import events, quiet, recipe_for, weights

UPDATE = 6
"""Sequences of an update, of all processes together."""


class Runs(NamedTuple):
    """Where the runs lie: NAME of one process, NAME-2 and NAME-3 of more, each with caches of its own beside it."""

    folder: Path
    recipes: dict[str, Recipe]
    said: dict[int, str]
    """By launches of so many processes."""
    status: dict[int, int]

    def cache(self, run: str) -> Entry:
        """The only one that a run has."""
        (entry,) = entries(self.folder / f"{run}-caches")
        return entry

    def computed(self, run: str, process: int) -> list[int]:
        """The first rows of the batches that a process has computed, each once."""
        file = self.folder / f"{run}-computed-{process}"
        return sorted({int(line) for line in file.read_text().split()}) if file.exists() else []


@pytest.fixture(scope="module")
def runs(world: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """All runs, of few launches, as each has to import torch.

    few: two sequences, fewer than processes. found: has a cache already. full-disk, required: what the second process
    writes does not fit. wrong: it reads other states than it would compute. bug, killed: it is lost while it fills;
    nothing runs after that.
    """
    folder = tmp_path_factory.mktemp("runs")
    settings = {"epochs": 2, "batch_size": UPDATE}
    recipes = {
        "full": recipe_for(world, method="full", **settings),
        "lora": recipe_for(world, **settings),
        "late": recipe_for(world, method="late-full", precision="bf16", **settings),
        "few": recipe_for(world, samples=2, heldout=0.0, **settings),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "AdamW", torch.optim.SGD)
        for name, recipe in recipes.items():
            train(recipe, folder / name, cache_dir=folder / f"{name}-caches", notify=quiet)
        for name, size in (("lora", 3), ("lora", 2), ("late", 3), ("few", 1)):  # as several processes fill
            run = f"{name}-by-{size}"
            alone = dataclasses.replace(recipes[name], batch_size=size, epochs=1)
            train(alone, folder / run, cache_dir=folder / f"{run}-caches", streaming=True, notify=quiet)

    def several(name: str, processes: int, run: str = "", **how: Any) -> dict[str, Any]:
        run, size = run or f"{name}-{processes}", 1 if name == "few" else UPDATE // processes
        caches = folder / f"{'streamed-2' if run == 'found' else run}-caches"
        recipe = dataclasses.replace(recipes[name], batch_size=size)
        return job(recipe, folder / run, plain=True, cache_dir=caches, **how)

    two = launch(
        folder / "two",
        2,
        [
            several("full", 2),
            several("lora", 2),
            several("lora", 2, "streamed-2", streaming=True),
            several("lora", 2, "found", streaming=True),
            several("late", 2, streaming=True),
            several("lora", 2, "full-disk", fault="full"),
            several("lora", 2, "wrong", fault="wrong"),
            several("lora", 2, "required", fault="full", streaming=True),
            several("lora", 2, "bug", fault="bug", streaming=True),
        ],
        divided=False,
    )
    three = launch(
        folder / "three",
        3,
        [
            several("full", 3),
            several("lora", 3, "streamed-3", streaming=True),
            several("few", 3, streaming=True),
            several("lora", 3, "killed", fault="killed", streaming=True),
        ],
        divided=False,
    )
    done = {2: two, 3: three}
    return Runs(
        folder,
        recipes,
        {count: one.stderr for count, one in done.items()},
        {count: one.returncode for count, one in done.items()},
    )


def losses(run: Path) -> list[Any]:
    """Of all epochs that were trained, in order."""
    return [row["train_loss"] for row in events(run) if row["event"] == "epoch"][1:]


@pytest.mark.parametrize(
    ("run", "one"),
    [
        ("full-2", "full"),
        ("full-3", "full"),
        ("lora-2", "lora"),
        ("streamed-2", "lora"),
        ("streamed-3", "lora"),
        ("found", "lora"),
        ("full-disk", "lora"),
        ("wrong", "lora"),
        ("few-3", "few"),
    ],
)
def test_several_processes_train_like_one(run: str, one: str, runs: Runs) -> None:
    """By plain descent, in fp32: losses to 1e-5 nats, and weights."""
    alone, several = losses(runs.folder / one), losses(runs.folder / run)
    assert several == pytest.approx(alone, abs=1e-5)
    assert alone[0] > alone[1], "it learns"
    expected, found = weights(runs.folder / one), weights(runs.folder / run)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=2e-4)
    cached = RunDir.open(runs.folder / run).environment["prefix_cache"] is not None
    assert cached == (run not in ("full-2", "full-3", "full-disk", "wrong"))


def test_whole_blocks_above_streamed_ones_train_like_in_one_process(runs: Runs) -> None:
    """In bf16: losses to .01."""
    assert losses(runs.folder / "late-2") == pytest.approx(losses(runs.folder / "late"), abs=0.01)


@pytest.mark.parametrize(
    ("run", "one"),
    [
        ("lora-2", "lora-by-3"),
        ("streamed-2", "lora-by-3"),
        ("streamed-3", "lora-by-2"),
        ("late-2", "late-by-3"),
        ("few-3", "few-by-1"),
    ],
)
def test_a_cache_that_several_fill_is_that_of_one_byte_for_byte(run: str, one: str, runs: Runs) -> None:
    """Each has computed some of the batches; none is computed twice, and none is another than one process's."""
    alone, several = runs.cache(one), runs.cache(run)
    assert several.fault(alone.about["key"]) is None
    assert several.states.read_bytes() == alone.states.read_bytes()
    processes = int(run[-1])
    size = several.about["key"]["batch_size"]
    batches = list(range(0, several.about["states"]["shape"][0], size))
    for process in range(processes):
        assert runs.computed(run, process) == batches[process::processes]
    assert several.about["fill"]["batches"] == len(batches[::processes])


def test_a_cache_that_is_there_is_looked_at_by_one_of_them(runs: Runs) -> None:
    """Which computes the first batch."""
    assert [runs.computed("found", process) for process in range(2)] == [[0], []]


def test_a_disk_that_is_full_for_one_is_told_by_all(runs: Runs) -> None:
    told = [(runs.folder / f"required-told-{process}").read_text() for process in range(2)]
    assert told[0] == told[1]
    assert "the disk is full" in told[0]
    for run in ("required", "full-disk", "wrong"):
        assert not [path for path in (runs.folder / f"{run}-caches").iterdir() if path.is_dir()]
    assert not (runs.folder / "required").exists()


LOST = "another process of this training has ended before its time; repeat the command with --resume"


def test_a_process_that_fails_while_it_fills_ends_all(runs: Runs) -> None:
    """It shows its own failure, the other one says what to do; nothing is left."""
    assert runs.status[2] != 0
    assert "ValueError: a bug" in runs.said[2]
    assert LOST in runs.said[2]
    assert not [path for path in (runs.folder / "bug-caches").iterdir() if path.is_dir()]


def test_a_process_that_is_killed_while_it_fills_ends_all_and_the_next_fill_is_whole(runs: Runs) -> None:
    assert runs.status[3] != 0
    assert LOST in runs.said[3]
    caches = runs.folder / "killed-caches"
    assert entries(caches) == []
    recipe = dataclasses.replace(runs.recipes["lora"], batch_size=2)
    train(recipe, runs.folder / "killed", resume=True, cache_dir=caches, streaming=True, notify=quiet)
    assert runs.cache("killed").states.read_bytes() == runs.cache("lora-by-2").states.read_bytes()


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_shares_are_all_there_is_and_the_first_has_most(count: int) -> None:
    shares = [Processes(index, count, None).share(range(7)) for index in range(count)]
    assert sorted(item for share in shares for item in share) == list(range(7))
    assert len(shares[0]) == max(map(len, shares)) <= min(map(len, shares)) + 1


def test_one_process_alone_raises_what_is_raised() -> None:
    with pytest.raises(ValueError, match="own"), ALONE.together():
        raise ValueError("own")
    assert ALONE.first(lambda: 3) == 3
    assert not ALONE.all(lambda: False)


def test_processes_of_one_machine_fill_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four, the second and fourth are on another machine; every process takes part in the making of both groups."""
    cpu, made = torch.device("cpu"), []

    def gather(kinds: list[Any], own: tuple[str, str]) -> None:
        assert own[1] == device_name(cpu)
        kinds[:] = [own, ("elsewhere", own[1]), own, ("elsewhere", own[1])]

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 4)
    monkeypatch.setattr(dist, "all_gather_object", gather)
    monkeypatch.setattr(dist, "new_group", lambda members, **how: made.append(members) or str(members))
    for rank, index in enumerate([0, 0, 1, 1]):
        monkeypatch.setattr(dist, "get_rank", lambda rank=rank: rank)
        found = on_this_machine(cpu)
        assert (found.index, found.count, found.group) == (index, 2, str([rank % 2, rank % 2 + 2]))
    assert sorted(made) == [[0, 2]] * 4 + [[1, 3]] * 4
