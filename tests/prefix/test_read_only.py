"""A folder of prefix caches that cannot be written to: what lies there whole is used, and nothing else is asked of it.

Permissions do not stop root, as whom tests may run; so the folder is mounted read-only where that can be done, and
everywhere the system calls that would write are made to refuse.
"""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.prefix.cache import PrefixCache
from hyperfit.prefix.disk.store import ABOUT, FOLDER, STATES, entries
from hyperfit.training.train import train
from small_runs import assert_same, quiet, recipe_for

Close = Callable[[Path], None]


@pytest.fixture(params=["mounted", "refused"])
def close(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Close]:
    """Make a folder one that can be read and not written to, until the test ends."""
    with ExitStack() as stack:

        def mounted(folder: Path) -> None:
            for how in (("--bind", str(folder), str(folder)), ("-o", "remount,ro,bind", str(folder))):
                if shutil.which("mount") is None or subprocess.run(["mount", *how], capture_output=True).returncode:
                    pytest.skip("mounting needs root")
                if how[0] == "--bind":
                    stack.callback(subprocess.run, ["umount", str(folder)], check=True)

        yield mounted if request.param == "mounted" else lambda folder: refuse(folder, monkeypatch)


def refuse(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call by which hyperfit would change something in the folder fails, as for another user's."""

    def guarded(name: str, real: Callable[..., Any], writes: Callable[..., bool]) -> None:
        def call(path: Any, *how: Any, **named: Any) -> Any:
            if (opened := named.get("dir_fd")) is not None:  # as rmtree names what it removes
                path = Path(f"/proc/self/fd/{opened}").resolve() / path
            inside = not isinstance(path, int) and folder in (Path(path), *Path(path).parents)
            if inside and writes(path, *how, **named):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(path, *how, **named)

        monkeypatch.setattr(os, name, call)

    guarded("open", os.open, lambda path, flags, *mode, **named: bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
    guarded("mkdir", os.mkdir, lambda path, *mode, **named: not os.path.exists(path))  # else: FileExistsError
    for name in ("rename", "unlink", "rmdir", "utime"):
        guarded(name, getattr(os, name), lambda path, *how, **named: True)


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Nothing in the folder is other after the block than before it."""

    def state() -> dict[str, Any]:
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}

    before = state()
    yield
    assert state() == before


def filled(folder: Path, world: tuple[str, str], tmp_path: Path) -> Path:
    """The only cache in the folder, of the recipe of these tests, which a run of its own has filled."""
    train(recipe_for(world, epochs=1), tmp_path / "first", cache_dir=folder, prefix_cache="required", notify=quiet)
    for file in folder.glob(".*.lock"):
        file.unlink()
    (entry,) = entries(folder)
    return entry.path


def test_a_whole_cache_in_it_is_used(world: tuple[str, str], tmp_path: Path, close: Close) -> None:
    folder = tmp_path / "caches"
    filled(folder, world, tmp_path)
    close(folder)
    for streaming in (False, True):
        said: list[str] = []
        output = tmp_path / f"again-{streaming}"
        with unchanged(folder):
            train(
                recipe_for(world, epochs=1),
                output,
                cache_dir=folder,
                prefix_cache="required",
                streaming=streaming,
                notify=said.append,
            )
        assert any(line.startswith("prefix cache: blocks 0–3") and ", found;" in line for line in said)
        assert_same(tmp_path / "first", output)


def test_without_one_in_it_auto_goes_on_and_says_why_in_one_line(
    world: tuple[str, str], tmp_path: Path, close: Close
) -> None:
    folder = tmp_path / "caches"
    filled(folder, world, tmp_path)
    close(folder)
    said: list[str] = []
    other = recipe_for(world, epochs=1, late_blocks=3)
    with unchanged(folder):
        run = train(other, tmp_path / "auto", cache_dir=folder, notify=said.append)
    assert run.end
    assert run.environment["prefix_cache"] is None
    (line,) = (line for line in said if "prefix cache" in line)
    assert line.startswith(f"no prefix cache: --cache-dir {folder}: cannot be written to (")
    assert line.endswith("); name another folder, or give --prefix-cache off")
    with unchanged(folder), pytest.raises(UserError, match=r"--prefix-cache required: --cache-dir .*cannot be written"):
        train(other, tmp_path / "required", cache_dir=folder, prefix_cache="required", notify=quiet)
    assert not (tmp_path / "required").exists()
    train(other, tmp_path / "off", cache_dir=folder, prefix_cache="off", notify=quiet)
    assert_same(tmp_path / "off", tmp_path / "auto")


@pytest.mark.parametrize(
    ("name", "fault"), [(STATES, "its checksum does not match"), (ABOUT, "it cannot be read")], ids=["states", "about"]
)
def test_a_damaged_one_in_it_is_never_used(
    world: tuple[str, str], tmp_path: Path, close: Close, name: str, fault: str
) -> None:
    folder = tmp_path / "caches"
    file = filled(folder, world, tmp_path) / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    close(folder)
    said: list[str] = []
    with unchanged(folder):
        train(recipe_for(world, epochs=1), tmp_path / "again", cache_dir=folder, notify=said.append)
    (line,) = (line for line in said if "prefix cache" in line)
    assert f"and the cache that is there cannot be used: {fault}; name another folder" in line
    assert_same(tmp_path / "first", tmp_path / "again")


def test_one_that_turns_out_wrong_is_not_used_either(
    world: tuple[str, str], tmp_path: Path, close: Close, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be removed; the run computes everything."""
    folder = tmp_path / "caches"
    filled(folder, world, tmp_path)
    real = PrefixCache.find

    def off_by_a_bit(self: PrefixCache, given: dict[str, Any]) -> Any:
        states = real(self, given)
        if states is not None:
            states.view(torch.int32)[0, -2, 0] ^= 1
        return states

    monkeypatch.setattr(PrefixCache, "find", off_by_a_bit)
    close(folder)
    said: list[str] = []
    with unchanged(folder):
        train(recipe_for(world, epochs=1), tmp_path / "again", cache_dir=folder, notify=said.append)
    assert any(line.startswith("no prefix cache: with it, loss and gradients") for line in said)
    assert_same(tmp_path / "first", tmp_path / "again")


def test_one_whose_states_another_user_keeps_to_himself(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hyperfit.prefix.disk.store as module

    def locked(path: Path) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    folder = tmp_path / "caches"
    filled(folder, world, tmp_path)
    refuse(folder, monkeypatch)
    monkeypatch.setattr(module, "sha256", locked)
    said: list[str] = []
    train(recipe_for(world, epochs=1), tmp_path / "again", cache_dir=folder, notify=said.append)
    assert any("cannot be used: it cannot be read (Permission denied)" in line for line in said)


def test_a_place_where_no_folder_can_be(world: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    said: list[str] = []
    for number, folder in enumerate((tmp_path / "notes.txt", tmp_path / "notes.txt" / "caches")):
        run = train(recipe_for(world, epochs=1), tmp_path / str(number), cache_dir=folder, notify=said.append)
        assert run.end
        assert f"no prefix cache: --cache-dir {folder}: cannot be written to (" in "\n".join(said)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_what_cannot_be_removed_from_it_is_named(
    world: tuple[str, str], tmp_path: Path, close: Close, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / FOLDER
    path = filled(folder, world, tmp_path)
    close(folder)
    capsys.readouterr()
    with unchanged(folder):
        main(["cache", "clear", "--cache-dir", str(folder)])
    said = capsys.readouterr().out
    assert said.startswith(f"{path.name}: cannot be removed (")
    assert said.endswith(f"nothing to remove in {folder}\n")
