"""Which prefix caches are removed: by hand, by age, by size, and for a new one; never one that somebody reads."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.prefix.disk import eviction
from hyperfit.prefix.disk.eviction import clear
from hyperfit.prefix.disk.locks import lock_of, one_at_a_time
from hyperfit.prefix.disk.sizes import age_from, readable, size_from
from hyperfit.prefix.disk.store import ABOUT, STATES, Entry, entries, name_of
from hyperfit.prefix.fill import open_or_fill
from hyperfit.training.train import train
from small_runs import quiet, recipe_for

KB = 1000
DAY = 86_400
NOW = 1_700_000_000.0
"""What the clock shows in these tests."""


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)


def key_of(number: int) -> dict[str, Any]:
    return {"number": number, "blocks": 4}


def fill(file: Path, size: int = 100 * KB) -> dict[str, Any]:
    file.write_bytes(bytes(size))
    return {"model": "m", "states": {"dtype": "float32", "shape": [1, 1, size]}, "fill": {"seconds": 1.0, "batches": 1}}


def opened(folder: Path, number: int, size: int = 100 * KB, **how: Any) -> tuple[Entry, bool]:
    """The cache of that number, found or filled with ``size`` bytes of states."""
    how = {"notify": quiet, **how}
    with open_or_fill(folder, key_of(number), size, lambda file: fill(file, size), **how) as found:
        return found


def make(folder: Path, *days: float) -> list[str]:
    """The names of new caches of 100 KB, last used so many days ago."""
    names = []
    for number, ago in enumerate(days):
        path = opened(folder, number)[0].path
        os.utime(path / ABOUT, (NOW - ago * DAY, NOW - ago * DAY))
        names.append(path.name)
    return names


def there(folder: Path) -> set[str]:
    return {entry.path.name for entry in entries(folder)}


@contextmanager
def elsewhere(code: str, *arguments: object) -> Iterator[None]:
    """Another process that has run ``code`` and stays until the block ends."""
    head = "import os, sys\nfrom pathlib import Path\n"
    tail = "\nprint('ready', flush=True)\nsys.stdin.read()\n"
    command = [sys.executable, "-c", head + code + tail, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield


READING = """
from hyperfit.prefix.disk.locks import hold
hold(os.open(sys.argv[1], os.O_RDONLY))
"""
FILLING = """
from hyperfit.prefix.disk.locks import one_at_a_time
lock = one_at_a_time(Path(sys.argv[1]), sys.argv[2])
lock.__enter__()
"""


# By hand


def test_what_has_not_been_used_for_long_goes(tmp_path: Path) -> None:
    old, edge, new = make(tmp_path, 30, 7, 6.9)
    assert [name for name, _ in clear(tmp_path, older_than=7 * DAY)] == [old, edge]
    assert there(tmp_path) == {new}
    assert not lock_of(tmp_path, old).exists()


def test_the_least_recently_used_go_until_the_rest_fits(tmp_path: Path) -> None:
    first, third, second, last = make(tmp_path, 9, 3, 5, 1)
    each = sum(file.stat().st_size for file in (tmp_path / first).iterdir())
    assert clear(tmp_path, max_size=4 * each) == []
    assert [name for name, _ in clear(tmp_path, max_size=4 * each - 1, dry_run=True)] == [first]
    assert there(tmp_path) == {first, second, third, last}
    assert clear(tmp_path, max_size=2 * each + 1) == [(first, each), (second, each)]
    assert [name for name, _ in clear(tmp_path, max_size=0)] == [third, last]


def test_age_and_size_together(tmp_path: Path) -> None:
    oldest, older, old, _ = make(tmp_path, 30, 20, 5, 1)
    assert [name for name, _ in clear(tmp_path, older_than=10 * DAY, max_size=110 * KB)] == [oldest, older, old]
    oldest, older, _, _ = make(tmp_path, 30, 20, 5, 1)
    assert [name for name, _ in clear(tmp_path, older_than=10 * DAY, max_size=330 * KB)] == [oldest, older]


def test_a_use_makes_a_cache_young(tmp_path: Path) -> None:
    old, older = make(tmp_path, 30, 40)
    assert opened(tmp_path, 1)[1]
    (again,) = (entry for entry in entries(tmp_path) if entry.path.name == older)
    assert again.used != NOW - 40 * DAY
    os.utime(tmp_path / older / ABOUT, (NOW, NOW))  # now, on the clock of these tests
    assert [name for name, _ in clear(tmp_path, older_than=7 * DAY)] == [old]


def test_what_cannot_be_used_counts_as_never_used(tmp_path: Path) -> None:
    new, damaged = make(tmp_path, 0, 0)
    (tmp_path / damaged / ABOUT).write_text("{")
    half = tmp_path / ".0123456789abcdef.part"
    half.mkdir()
    (half / STATES).write_bytes(bytes(10))
    assert {name for name, _ in clear(tmp_path, older_than=365 * DAY)} == {damaged, half.name}
    assert there(tmp_path) == {new}


def test_one_that_another_process_reads_stays(tmp_path: Path) -> None:
    read, free = make(tmp_path, 30, 20)
    said: list[str] = []
    with elsewhere(READING, tmp_path / read / STATES):
        assert [name for name, _ in clear(tmp_path, older_than=DAY, max_size=0, notify=said.append)] == [free]
        assert said == [f"{read}: in use; left alone"]
    assert [name for name, _ in clear(tmp_path, older_than=DAY)] == [read], "locks go with their process"


def test_one_that_another_process_fills_stays_whatever_is_asked(tmp_path: Path) -> None:
    busy, _ = make(tmp_path, 30, 20)
    said: list[str] = []
    with elsewhere(FILLING, tmp_path, busy):
        for age in (DAY, None):
            assert busy not in [name for name, _ in clear(tmp_path, older_than=age, notify=said.append)]
    assert said == [f"{busy}: being filled or checked by another process; left alone"] * 2
    assert there(tmp_path) == {busy}


def test_a_lock_that_went_with_its_cache_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is removed between opening and locking it: who has it then has nothing."""
    real, tries = os.open, list[Path]()

    def late(path: Path, *how: Any) -> int:
        handle = real(path, *how)
        tries.append(path)
        if len(tries) == 1:
            Path(path).unlink()
        return handle

    monkeypatch.setattr(os, "open", late)
    with one_at_a_time(tmp_path, "name") as mine, one_at_a_time(tmp_path, "name", wait=False) as other:
        assert (mine, other) == (True, False)
    assert len(tries) == 3


def test_one_that_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, free = make(tmp_path, 30, 20)
    real = shutil.rmtree

    def refuse(path: Path) -> None:
        if path.name == stuck:
            raise PermissionError(13, "Permission denied")
        real(path)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    said: list[str] = []
    assert [name for name, _ in clear(tmp_path, max_size=0, notify=said.append)] == [free]
    assert said == [f"{stuck}: cannot be removed (Permission denied)"]


# For a new one


def test_the_least_recently_used_make_room_for_a_new_one(tmp_path: Path) -> None:
    first, second, third = make(tmp_path, 3, 2, 1)
    said: list[str] = []
    entry, reused = opened(tmp_path, 7, notify=said.append, limit=310 * KB)
    assert not reused
    assert there(tmp_path) == {second, third, entry.path.name}
    assert said[0] == f"prefix cache: removed {first} (100.4 KB), least recently used (--cache-limit 310.0 KB)"
    assert len(said) == 2
    opened(tmp_path, 7, limit=0)
    assert there(tmp_path) == {second, third, entry.path.name}, "one that is found makes no other go"


def test_those_in_use_stay_even_above_the_limit(tmp_path: Path) -> None:
    read, *_ = make(tmp_path, 3, 2, 1)
    with elsewhere(READING, tmp_path / read / STATES):
        new, _ = opened(tmp_path, 7, limit=1)
        assert there(tmp_path) == {read, new.path.name}
    with elsewhere(FILLING, tmp_path, read):
        newest, _ = opened(tmp_path, 8, limit=1)
        assert there(tmp_path) == {read, newest.path.name}


def test_a_model_keeps_what_it_reads(world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in training holds its cache; when it has ended, the next one may have it removed."""
    import hyperfit.training.loop as module

    caches, seen = tmp_path / "caches", list[bool]()
    real = module.Loop.run_epochs

    def look(loop: module.Loop) -> None:
        seen.append(clear(caches, max_size=0, notify=quiet) == [])
        real(loop)

    monkeypatch.setattr(module.Loop, "run_epochs", look)
    for number, length in enumerate((16, 12)):
        recipe = recipe_for(world, length=length, epochs=1)
        train(recipe, tmp_path / str(number), cache_dir=caches, cache_limit="1KB", notify=quiet)
    assert seen == [True, True]
    assert len(entries(caches)) == 1


def disk_of(free: int, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A disk with ``free`` bytes beside what lies in the folder now."""
    whole = free + sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    def usage(path: Path) -> Any:
        taken = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        return SimpleNamespace(free=whole - taken)

    monkeypatch.setattr(shutil, "disk_usage", usage)


def test_a_full_disk_makes_room_only_if_that_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make(tmp_path, 2, 1)
    disk_of(50 * KB, monkeypatch, tmp_path)
    with pytest.raises(UserError, match=r"needs 300.0 KB, and 50.0 KB are free; free some space \(hyperfit cache"):
        opened(tmp_path, 7, 300 * KB)
    assert there(tmp_path) == {first, second}
    new, _ = opened(tmp_path, 7)
    assert there(tmp_path) == {second, new.path.name}


def test_the_limit_is_checked_with_everything_else(world: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        train(recipe_for(world, rank=99), tmp_path / "run", cache_limit="much", notify=quiet)
    assert caught.value.problems[0] == "--cache-limit much: give a size in KB, MB, GB or TB, such as 10GB"
    assert len(caught.value.problems) == 2
    assert not (tmp_path / "run").exists()


# As people write it


@pytest.mark.parametrize(
    ("text", "size"), [("10GB", 10**10), ("1.5 TB", 15 * 10**11), ("20.0 GB", 2 * 10**10), ("3kb", 3000), ("0MB", 0)]
)
def test_sizes(text: str, size: int) -> None:
    assert size_from(text, "--max-size") == size


def test_a_size_is_read_as_it_is_written() -> None:
    for size in (0, 5 * KB, 1_500_000, eviction.LIMIT, 3 * 10**12):
        assert size_from(readable(size), "--max-size") == size


@pytest.mark.parametrize(("text", "age"), [("7d", 7 * DAY), ("12h", DAY / 2), ("90m", 5400), ("0.5 d", DAY / 2)])
def test_ages(text: str, age: float) -> None:
    assert age_from(text, "--older-than") == age


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1w", "1e3d", "nan d", "7 days", "٧d"])
def test_bad_ages(text: str) -> None:
    with pytest.raises(UserError, match=f"--older-than {text}: give minutes, hours or days, such as 90m, 12h or 7d"):
        age_from(text, "--older-than")


@pytest.mark.parametrize("text", ["", "10", "GB", "-1GB", "10GiB", "10 G", "inf GB"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(UserError, match=f"--max-size {text}: give a size in KB, MB, GB or TB, such as 10GB"):
        size_from(text, "--max-size")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = make(tmp_path, 8, 1)
    command = ["cache", "clear", "--cache-dir", str(tmp_path)]
    with pytest.raises(SystemExit) as ended:
        main([*command, old, "--older-than", "soon", "--max-size", "9"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    for part in ("leave out the names", "--older-than soon: give", "--max-size 9: give"):
        assert part in said
    main([*command, "--older-than", "7d", "--dry-run"])
    assert capsys.readouterr().out == f"would remove {old} (100.4 KB)\n"
    assert there(tmp_path) == {old, new}
    main([*command, "--older-than", "7d", "--max-size", "1MB"])
    assert capsys.readouterr().out == f"removed {old} (100.4 KB)\n"
    main([*command, "--older-than", "7d"])
    assert capsys.readouterr().out == f"nothing to remove in {tmp_path}\n"
    assert there(tmp_path) == {new} == {name_of(key_of(1))}
