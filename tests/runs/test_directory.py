"""A run on disk: every file is whole or absent, whatever happens while it is written."""

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperfit.errors import UserError
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import disk_full, write_json, writing

RECIPE = Recipe(model="builtin:tiny", data="Käse.txt", target_modules=("q_proj", "v_proj"), seed=3)
ENVIRONMENT = {
    "data_fingerprint": "0123456789abcdef",
    "processes": 1,
    "training_sequences": 64,
    "trainable_parameters": 1_024,
    "parameters": 4_096,
    "adapted_blocks": [1],
    "blocks": 2,
    "python": "3.11",
    "device_name": "größte",
    "threads": 2,
}
MANY = 1_000_000
"""Bytes, more than there is room for in the tests of a full disk."""


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "run", RECIPE, ENVIRONMENT)


def names(folder: Path) -> set[str]:
    """Everything in a folder and below it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# Writing


def test_writing_a_file(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "down" / "file.txt"
    for text in ("old", "new"):
        with writing(target) as aside:
            aside.write_text(text)
            assert not target.exists() or target.read_text() == "old", "not before it is whole"
        assert target.read_text() == text
    assert names(target.parent) == {"file.txt"}


def test_writing_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for name in ("old", "new"):
        with writing(target) as aside:
            (aside / "sub").mkdir(parents=True)
            (aside / "sub" / name).write_text(name)
        assert names(tmp_path) == {"folder", "folder/sub", f"folder/sub/{name}"}


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit, OSError])
@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_an_exception_inside_leaves_the_old(tmp_path: Path, failure: type[BaseException], folder: bool) -> None:
    target = tmp_path / "target"

    def attempt(word: str, fail: bool) -> None:
        with writing(target) as aside:
            if folder:
                aside.mkdir()
            (aside / "inside" if folder else aside).write_text(word)
            if fail:
                raise failure("inside the block")

    with pytest.raises(failure, match="inside the block"):
        attempt("none yet", fail=True)
    assert names(tmp_path) == set()
    attempt("old", fail=False)
    with pytest.raises(failure, match="inside the block"):
        attempt("new", fail=True)
    assert names(tmp_path) == ({"target", "target/inside"} if folder else {"target"})
    assert (target / "inside" if folder else target).read_text() == "old"


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own."""
    command = [
        sys.executable,
        "-c",
        "import sys; from pathlib import Path; from hyperfit.runs.directory import *\n" + code,
    ]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_a_kill_leaves_the_old_and_nothing_in_the_way(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("old")
    code = """
import os, signal
with writing(Path(sys.argv[1])) as aside:
    aside.write_text("half of the n")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert python(code, target).returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    with writing(target) as aside:
        assert not aside.exists()
        aside.write_text("new")
    assert target.read_text() == "new"
    assert names(tmp_path) == {"target"}


def test_json_is_for_people_too(tmp_path: Path) -> None:
    write_json(tmp_path / "value.json", {"cheese": "Käse", "n": 1.5})
    assert (tmp_path / "value.json").read_text(encoding="utf-8") == '{\n "cheese": "Käse",\n "n": 1.5\n}\n'
    with pytest.raises(TypeError):
        write_json(tmp_path / "value.json", {"n": object()})
    assert names(tmp_path) == {"value.json"}


# A full disk


def test_limit_on_file_size_is_told_as_a_full_disk(tmp_path: Path) -> None:
    target = tmp_path / "value.json"
    target.write_text("old")
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_json(Path(sys.argv[1]), "x" * int(sys.argv[2]))
except UserError as error:
    print(error)
"""
    done = python(code, target, MANY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{target}: the disk is full (")
    assert "MB free)" in done.stdout
    assert "--resume" in done.stdout
    assert done.stdout.count("\n") == 1
    assert target.read_text() == "old"
    assert names(tmp_path) == {"value.json"}


def test_limit_on_the_log(run: RunDir) -> None:
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
run = RunDir(Path(sys.argv[1]))
run.append({"event": "epoch", "epoch": 0})
try:
    run.append({"event": "epoch", "epoch": 1, "sample": "x" * int(sys.argv[2])})
except UserError as error:
    print(error)
"""
    done = python(code, run.path, MANY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{run.events_file}: the disk is full")
    assert "--resume" in done.stdout
    assert run.events() == [{"event": "epoch", "epoch": 0}]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB and 8 files and folders, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount here")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=8", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(small_disk: Path) -> None:
    target = small_disk / "value.json"
    write_json(target, "old")
    with pytest.raises(UserError) as caught:
        write_json(target, "x" * MANY)
    assert str(caught.value).startswith(f"{target}: the disk is full (0 MB free)")
    assert json.loads(target.read_text()) == "old"
    assert names(small_disk) == {"value.json"}


def test_disk_without_room_for_another_folder(small_disk: Path) -> None:
    (small_disk / "a" / "b" / "c" / "d" / "e" / "f").mkdir(parents=True)
    with pytest.raises(UserError, match="the disk is full"):
        write_json(small_disk / "samples" / "deep" / "value.json", "new")
    assert not (small_disk / "samples" / "deep").exists()


def test_full_disk_while_a_checkpoint_is_written(small_disk: Path) -> None:
    run = RunDir(small_disk)
    run.save_checkpoint(1, {"update": 1}, saver(b"small"))
    with pytest.raises(UserError, match="the disk is full"):
        run.save_checkpoint(2, {"update": 2}, saver(b"x" * MANY))
    checkpoint = run.newest_checkpoint(pytest.fail)
    assert checkpoint is not None
    assert checkpoint.place["update"] == 1


def test_what_counts_as_a_full_disk() -> None:
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        assert disk_full(OSError(code, os.strerror(code)))
        assert disk_full(RuntimeError(f"I/O error: {os.strerror(code)} (os error {code})")), "a compiled writer's words"
    assert not disk_full(OSError(errno.EACCES, os.strerror(errno.EACCES)))
    assert not disk_full(KeyboardInterrupt())


# Starting and opening


def test_create_and_open(run: RunDir) -> None:
    assert names(run.path) == {"recipe.json", "environment.json"}
    again = RunDir.open(run.path)
    assert again.recipe == RECIPE
    assert again.environment == ENVIRONMENT
    assert again.events() == []
    assert again.end is None
    assert again.newest_checkpoint(pytest.fail) is None


def test_create_in_an_empty_folder(tmp_path: Path) -> None:
    assert RunDir.create(tmp_path, RECIPE, ENVIRONMENT).recipe == RECIPE


def test_create_refuses_another_run(run: RunDir) -> None:
    with pytest.raises(UserError, match="holds another run; name a new folder, or give --resume") as caught:
        RunDir.create(run.path, Recipe(model="other", data="other"), {})
    assert str(caught.value).startswith(f"--output {run.path}: ")
    assert run.recipe == RECIPE


def test_create_refuses_what_is_not_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    for path in (tmp_path / "folder", tmp_path / "folder" / "notes.txt"):
        with pytest.raises(UserError, match="is not an empty folder; name a new one") as caught:
            RunDir.create(path, RECIPE, ENVIRONMENT)
        assert str(caught.value).startswith(f"--output {path}: ")
    assert names(tmp_path) == {"folder", "folder/notes.txt"}


@pytest.mark.parametrize("existed", [False, True])
def test_create_that_fails_leaves_the_place_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existed: bool
) -> None:
    def full(self: Recipe) -> dict[str, Any]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Recipe, "to_dict", full)
    path = tmp_path / "run"
    if existed:
        path.mkdir()
    with pytest.raises(OSError, match="No space left"):
        RunDir.create(path, RECIPE, ENVIRONMENT)
    assert names(tmp_path) == ({"run"} if existed else set())


def test_create_refuses_a_place_where_no_folder_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    path = tmp_path / "notes.txt" / "runs" / "one"
    with pytest.raises(UserError, match=r"notes\.txt is not a folder that can be written to; name another") as caught:
        RunDir.create(path, RECIPE, ENVIRONMENT)
    assert str(caught.value).startswith(f"--output {path}: ")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write to what is locked
    with pytest.raises(UserError, match="is not a folder that can be written to"):
        RunDir(tmp_path / "runs" / "one").check_free()


def test_open_refuses_what_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UserError, match="no run here") as caught:
            RunDir.open(path)
        assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("name", ["recipe", "environment"])
def test_damaged_json_of_a_run(run: RunDir, name: str) -> None:
    file = run.path / f"{name}.json"
    for raw in (file.read_bytes()[:-5], b"\xff", b""):
        file.write_bytes(raw)
        with pytest.raises(UserError, match="the run is damaged") as caught:
            getattr(run, name)
        assert str(caught.value).startswith(f"{file}: cannot be read")


def test_result(run: RunDir) -> None:
    with pytest.raises(UserError, match="training has not ended; repeat its command with --resume"):
        run.result  # noqa: B018  # the property raises
    for name in ("model", "adapter"):
        (run.path / name).mkdir()
        assert run.result == run.path / name
        (run.path / name).rmdir()


# Events


def test_kept_runs_by_epoch(run: RunDir) -> None:
    run.append({"event": "epoch", "epoch": 0})
    for epoch in (10, 9):
        with run.keeping(dataclasses.replace(RECIPE, epochs=epoch), {"event": "end", "reason": "epochs"}) as folder:
            (folder / "adapter").mkdir()
    (run.path / "epochs" / "010-old").mkdir()
    (run.path / "epochs" / "11").write_text("no folder")
    assert list(run.kept) == [9, 10]
    assert run.kept[10].recipe.epochs == 10
    assert [event["event"] for event in run.kept[9].events()] == ["epoch", "end"]
    with pytest.raises(ZeroDivisionError), run.keeping(dataclasses.replace(RECIPE, epochs=3), {"event": "end"}):
        raise ZeroDivisionError
    assert list(run.kept) == [9, 10], "whole or not at all"


@given(samples=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_events_come_back_whatever_the_model_wrote(
    tmp_path_factory: pytest.TempPathFactory, samples: list[str]
) -> None:
    run = RunDir(tmp_path_factory.mktemp("run"))
    events = [{"event": "epoch", "epoch": i, "sample": sample, "ttr": None} for i, sample in enumerate(samples)]
    for event in events:
        run.append(event)
    assert run.events() == events


def test_line_separators_in_a_text_do_not_split_its_event(run: RunDir) -> None:
    event = {"event": "epoch", "sample": "one\u2028two\u2029three\x85four\x0bfive\nsix\r\nseven"}
    run.append(event)
    assert run.events() == [event]


def test_events_by_kind(run: RunDir) -> None:
    for event in (
        {"event": "epoch", "epoch": 0},
        {"event": "end", "reason": "interrupted"},
        {"event": "epoch", "epoch": 1},
    ):
        run.append(event)
    assert [event["epoch"] for event in run.events("epoch")] == [0, 1]
    assert run.end == {"event": "end", "reason": "interrupted"}
    run.append({"event": "end", "reason": "loss"})
    assert run.end == {"event": "end", "reason": "loss"}


def test_half_written_last_line_is_left_out(run: RunDir) -> None:
    events: list[dict[str, Any]] = [{"event": "epoch", "epoch": 0}, {"event": "end", "sample": "Größe 🐐"}]
    for event in events:
        run.append(event)
    raw = run.events_file.read_bytes()
    first = raw.index(b"\n") + 1
    for size in range(first, len(raw)):  # also in the middle of a character
        run.events_file.write_bytes(raw[:size])
        assert run.events() == events[:1]
    run.events_file.write_bytes(raw)
    assert run.events() == events


def test_rewound_events_end_where_the_checkpoint_was(run: RunDir) -> None:
    run.rewind_events(0)
    assert not run.events_file.exists()
    with pytest.raises(UserError, match="shorter than when the checkpoint was made"):
        run.rewind_events(100)
    run.append({"event": "epoch", "epoch": 0})
    run.save_checkpoint(5, {"epoch": 0}, saver(b"state"))
    run.append({"event": "epoch", "epoch": 1})
    run.append({"event": "end", "reason": "interrupted"})
    checkpoint = run.newest_checkpoint(pytest.fail)
    assert checkpoint is not None
    run.rewind_events(checkpoint.place["events_size"])
    assert run.events() == [{"event": "epoch", "epoch": 0}]
    run.append({"event": "epoch", "epoch": 1})
    assert len(run.events()) == 2


# Checkpoints


def saver(state: bytes) -> Callable[[Path], None]:
    """What writes a checkpoint of two files."""

    def write(folder: Path) -> None:
        (folder / "state.safetensors").write_bytes(state)
        (folder / "more.bin").write_bytes(b"the same in all")

    return write


def place(update: int) -> dict[str, object]:
    return {"epoch": update // 3, "update": update, "loss_sum": 0.1 + update, "reason": None}


@pytest.fixture
def saved(run: RunDir) -> RunDir:
    """A run with checkpoints after updates 3, 6, 9 and 12, of which two are left."""
    for update in (3, 6, 9, 12):
        run.save_checkpoint(update, place(update), saver(b"state after %d" % update))
    return run


def test_the_newest_two_checkpoints_are_kept(saved: RunDir) -> None:
    assert {path.name for path in (saved.path / "checkpoints").iterdir()} == {"update-00000009", "update-00000012"}


def test_the_newest_is_taken_with_its_place(saved: RunDir) -> None:
    checkpoint = saved.newest_checkpoint(pytest.fail)
    assert checkpoint is not None
    assert checkpoint.place == {**place(12), "events_size": 0}, "floats come back exactly"
    assert (checkpoint.path / "state.safetensors").read_bytes() == b"state after 12"


def test_a_checkpoint_replaces_one_of_the_same_update(saved: RunDir) -> None:
    saved.save_checkpoint(12, place(12), saver(b"again"))
    checkpoint = saved.newest_checkpoint(pytest.fail)
    assert checkpoint is not None
    assert (checkpoint.path / "state.safetensors").read_bytes() == b"again"


def test_a_checkpoint_that_fails_is_not_there(saved: RunDir) -> None:
    def write(folder: Path) -> None:
        (folder / "state.safetensors").write_bytes(b"half of")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        saved.save_checkpoint(15, place(15), write)
    assert {path.name for path in (saved.path / "checkpoints").iterdir()} == {"update-00000009", "update-00000012"}


def test_discarded_checkpoints_are_gone(saved: RunDir) -> None:
    saved.discard_checkpoints()
    assert names(saved.path) == {"recipe.json", "environment.json"}
    saved.discard_checkpoints()
    assert saved.newest_checkpoint(pytest.fail) is None


def flip(raw: bytes, bit: int) -> bytes:
    """The bytes with one bit turned."""
    damaged = bytearray(raw)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "halved": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "one bit turned": lambda file: file.write_bytes(flip(file.read_bytes(), 8 * (file.stat().st_size // 2))),
    "not JSON": lambda file: file.write_text("goat"),
    "JSON of another shape": lambda file: file.write_text("[]"),
    "JSON null": lambda file: file.write_text("null"),
    "JSON that names nothing": lambda file: file.write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_newest_falls_back_to_the_one_before(saved: RunDir, damage: str, tmp_path: Path) -> None:
    files = [path.name for path in (saved.path / "checkpoints" / "update-00000012").iterdir()]
    assert len(files) >= 3
    for number, name in enumerate(files):
        path = tmp_path / str(number)
        shutil.copytree(saved.path, path)
        newest = path / "checkpoints" / "update-00000012"
        DAMAGE[damage](newest / name)
        notices: list[str] = []
        checkpoint = RunDir(path).newest_checkpoint(notices.append)
        assert checkpoint is not None, name
        assert checkpoint.place["update"] == 9, name
        assert (checkpoint.path / "state.safetensors").read_bytes() == b"state after 9"
        assert len(notices) == 1
        assert notices[0].startswith(f"{newest} is damaged (")
        assert notices[0].endswith("looking for the one before")


def test_no_turned_bit_changes_what_is_loaded(saved: RunDir) -> None:
    newest = saved.path / "checkpoints" / "update-00000012"
    for file in sorted(newest.iterdir()):
        raw = file.read_bytes()
        for byte in range(len(raw)):
            file.write_bytes(flip(raw, 8 * byte + byte % 8))
            checkpoint = saved.newest_checkpoint(lambda line: None)
            assert checkpoint is not None
            if checkpoint.path == newest:  # a turned bit in the white space of a JSON file
                assert checkpoint.place == {**place(12), "events_size": 0}
                assert (newest / "state.safetensors").read_bytes() == b"state after 12"
        file.write_bytes(raw)


def test_all_damaged_is_refused(saved: RunDir) -> None:
    """Starting over would throw the log away, and that is the user's to decide."""
    for folder in (saved.path / "checkpoints").iterdir():
        (folder / "state.safetensors").write_bytes(b"goat")
    notices: list[str] = []
    with pytest.raises(UserError, match="all its checkpoints are damaged; train again in a new --output"):
        saved.newest_checkpoint(notices.append)
    assert len(notices) == 2
