"""Prefix caches when things go wrong in the middle: a kill, a full disk, processes that fill and remove at once."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperfit.errors import UserError
from hyperfit.prefix.disk.eviction import clear
from hyperfit.prefix.disk.sizes import readable
from hyperfit.prefix.disk.store import STATES, entries, name_of
from hyperfit.prefix.fill import open_or_fill
from hyperfit.training.train import train
from small_runs import assert_same, quiet, recipe_for

KEY = {"number": 1}
SIZE = 100_000

FILLING = """
import json, os, sys, time
from pathlib import Path
from hyperfit.prefix.disk.eviction import clear
from hyperfit.prefix.fill import open_or_fill
from hyperfit.prefix.disk.store import STATES

folder = Path(sys.argv[1])

def about(size):
    return {"model": "m", "states": {"dtype": "float32", "shape": [1]}, "fill": {"seconds": 1, "batches": 1}}

def opened(number, fill, **how):
    return open_or_fill(folder, {"number": number}, 100_000, fill, lambda line: None, **how)

def fill(file):
    file.write_bytes(bytes(100_000))
    return about(100_000)
"""


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """An interpreter of its own that runs code with what FILLING gives."""
    command = [sys.executable, "-c", FILLING + code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed(code: str, folder: Path) -> None:
    """Run code that ends in a kill."""
    with python(code, folder) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said


def fill(file: Path) -> dict[str, Any]:
    file.write_bytes(bytes(SIZE))
    return {"model": "m", "states": {"dtype": "float32", "shape": [1]}, "fill": {"seconds": 1.0, "batches": 1}}


KILLS = {
    "in the states": """
def half(file):
    file.write_bytes(bytes(50_000))
    os.kill(os.getpid(), 9)
""",
    "before its description": """
def half(file):
    fill(file)
    os.kill(os.getpid(), 9)
""",
    "before it is renamed": """
os.rename = Path.rename = lambda *given: os.kill(os.getpid(), 9)
half = fill
""",
}


@pytest.mark.parametrize("moment", KILLS)
def test_a_killed_fill_leaves_none_and_the_next_is_whole(tmp_path: Path, moment: str) -> None:
    killed(KILLS[moment] + "\nwith opened(1, half): pass\n", tmp_path)
    assert entries(tmp_path) == []
    (part,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert part.name == f".{name_of(KEY)}.part"
    with open_or_fill(tmp_path, KEY, SIZE, fill, quiet) as (entry, reused):
        assert not reused
        assert entry.fault(KEY) is None
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [entry.path]


def test_what_a_killed_fill_left_goes_first_for_another(tmp_path: Path) -> None:
    with open_or_fill(tmp_path, KEY, SIZE, fill, quiet) as (entry, _):
        pass
    killed(KILLS["in the states"] + "\nwith opened(2, half): pass\n", tmp_path)
    said: list[str] = []
    with open_or_fill(tmp_path, {"number": 3}, SIZE, fill, said.append, limit=2 * SIZE + 5000) as (new, _):
        pass
    assert said[0].startswith(f"prefix cache: removed .{name_of({'number': 2})}.part (50.0 KB)")
    assert {found.path for found in entries(tmp_path)} == {entry.path, new.path}


STUCK = """
def stuck(file):
    print("ready", flush=True)
    time.sleep(600)

with opened(1, stuck):
    pass
"""
WAITING = """
def news(line):
    print(line, flush=True)

with open_or_fill(folder, {"number": 1}, 100_000, fill, news) as (entry, reused):
    print(reused, entry.fault({"number": 1}))
"""


def test_who_waits_for_a_killed_fill_fills(tmp_path: Path) -> None:
    with python(STUCK, tmp_path) as filling:
        assert filling.stdout is not None
        assert filling.stdout.readline() == "ready\n"
        with python(WAITING, tmp_path) as waiting:
            assert waiting.stdout is not None
            assert waiting.stdout.readline().endswith("waiting for the process that fills or checks it\n")
            filling.kill()
            said, failed = waiting.communicate(timeout=60)
    assert said.splitlines()[-1:] == ["False None"], failed


def test_processes_that_fill_and_remove_at_once_never_see_half_a_cache(tmp_path: Path) -> None:
    """Each opens more caches than the limit lets be, so that each removes those of the others all the time."""
    code = """
import random
from hyperfit.prefix.disk.states import States
import torch
turns = random.Random(int(sys.argv[2]))
for _ in range(25):
    number = turns.randrange(5)
    with opened(number, fill, limit=250_000) as (entry, reused):
        states = States(entry.states, (1, 1, 25_000), torch.float32)
    assert entry.path.is_dir() and states.read([0]).shape == (1, 1, 25_000)
    assert entry.states.stat().st_size == 100_000, "nobody removes it while it is open"
    if turns.random() < 0.2:
        clear(folder, max_size=100_000, notify=lambda line: None)
        assert entry.path.is_dir()
    states.close()
"""
    processes = [python(code, tmp_path, seed) for seed in range(3)]
    for process in processes:
        _, failed = process.communicate(timeout=300)
        assert process.returncode == 0, failed
    assert all(entry.fault(entry.about["key"]) is None for entry in entries(tmp_path))
    assert not list(tmp_path.glob(".*.part"))
    clear(tmp_path, notify=pytest.fail)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_meanwhile(
    world: tuple[str, str], tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was room when it began; then there is none: nothing is left, and the run goes on without."""
    import hyperfit.prefix.disk.states as module

    real, size = os.pwrite, 14 * 16 * 32 * 4

    def greedy(*given: Any) -> int:
        free = shutil.disk_usage(small_disk).free
        (small_disk / "another's").write_bytes(bytes(free - 4096 if free > 4096 else 0))
        return real(*given)

    monkeypatch.setattr(module.os, "pwrite", greedy)
    said: list[str] = []
    run = train(recipe_for(world, epochs=1), tmp_path / "run", cache_dir=small_disk, notify=said.append)
    assert run.end
    assert said[1].startswith(f"prefix cache: needs {readable(size)} in {small_disk}")
    assert any(line.startswith("no prefix cache: ") and "the disk is full" in line for line in said)
    assert [path.name for path in small_disk.iterdir() if path.is_dir()] == []
    monkeypatch.undo()
    train(recipe_for(world, epochs=1), tmp_path / "off", prefix_cache="off", notify=quiet)
    assert_same(tmp_path / "off", run.path)


def test_a_small_disk_holds_one_after_the_other(small_disk: Path) -> None:
    """Each takes 40 of 64 KiB: the one before makes room."""
    size = 40_000

    def small(file: Path) -> dict[str, Any]:
        file.write_bytes(bytes(size))
        return {"model": "m", "states": {"dtype": "float32", "shape": [1]}, "fill": {"seconds": 1.0, "batches": 1}}

    for number in range(3):
        with open_or_fill(small_disk, {"number": number}, size, small, quiet) as (entry, reused):
            assert not reused
        assert [found.path for found in entries(small_disk)] == [entry.path]
    said: list[str] = []
    with (
        pytest.raises(UserError, match=r"needs 70\.0 KB"),
        open_or_fill(small_disk, {"number": 9}, 70_000, small, said.append),
    ):
        pass
    assert [found.path for found in entries(small_disk)] == [entry.path], "nothing goes for what would not fit"
    assert said == []
    assert (entry.path / STATES).stat().st_size == size
