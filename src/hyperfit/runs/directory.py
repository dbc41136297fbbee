"""A run on disk: recipe, environment, events, checkpoints, results. Every file is whole or absent."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.contents import check_contents
from hyperfit.runs.environment import fault_of
from hyperfit.runs.files import check_writable, part_of, remove, sha256, telling_of_full_disk, write_json, writing

KEPT_CHECKPOINTS = 2
ENDED = ("loss", "epochs", "copying", "auto")
"""Reasons of an end event after which there is a result."""
BEGINNINGS = {"environment.json", ".environment.json.part", ".recipe.json.part"}
"""Files that a run may leave if it is killed before it has written its recipe."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that passed its checksums."""

    path: Path
    place: dict[str, Any]
    """What the trainer said of the moment: epoch, update, sums."""


@dataclass(frozen=True)
class RunDir:
    """The folder of one run."""

    path: Path

    @classmethod
    def create(cls, path: Path, recipe: Recipe, environment: dict[str, Any]) -> "RunDir":
        """Start a run in a folder that is new or empty. Raises UserError if something lies there."""
        run = cls(path)
        run.check_free()
        existed = path.exists()
        try:
            write_json(run.path / "environment.json", environment)
            write_json(run.path / "recipe.json", recipe.to_dict())
        except BaseException:
            (run.path / "environment.json").unlink(missing_ok=True)
            if not existed:
                remove(run.path)
            raise
        return run

    @classmethod
    def open(cls, path: Path | str) -> "RunDir":
        """An existing run. Raises UserError if the folder holds none, and for links of the run that lead out of it."""
        path = Path(path)
        if not (path / "recipe.json").is_file():
            raise UserError(f"{path}: no run here (recipe.json is missing); give a folder made by hyperfit train")
        check_contents(path)
        return cls(path)

    def check_free(self) -> None:
        """Raises UserError if the folder holds a run or anything else, or cannot be made."""
        if (self.path / "recipe.json").exists():
            raise UserError(
                f"--output {self.path}: holds another run; name a new folder, or give --resume to go on with that run"
            )
        if self.path.exists() and (
            not self.path.is_dir() or not BEGINNINGS.issuperset(entry.name for entry in self.path.iterdir())
        ):
            raise UserError(f"--output {self.path}: is not an empty folder; name a new one")
        check_writable(self.path)

    @property
    def recipe(self) -> Recipe:
        """The recipe the run was started with. Raises UserError if it has been damaged."""
        try:
            return Recipe.from_dict(self._json("recipe.json"))
        except (TypeError, AttributeError, ValueError) as error:
            raise UserError(f"{self.path / 'recipe.json'}: is not a recipe ({error}); the run is damaged") from error

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, device, fingerprints of data and weights at the start of the run. Raises UserError if damaged."""
        found = self._json("environment.json")
        if fault := fault_of(found):
            raise UserError(
                f"{self.path / 'environment.json'}: is not what hyperfit wrote ({fault}); the run is damaged"
            )
        return dict(found)

    def _json(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{self.path / name}: cannot be read ({error}); the run is damaged") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the run while the block runs. Raises UserError if one is at work in it."""
        if sys.platform == "win32":  # has no such locks
            yield
            return
        import fcntl

        handle = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                busy = f"--output {self.path}: another process is training here; wait for it or stop it"
                raise UserError(busy) from error
            yield
        finally:
            os.close(handle)

    # Events

    @property
    def events_file(self) -> Path:
        """The append-only log."""
        return self.path / "events.jsonl"

    def append(self, event: dict[str, Any]) -> None:
        """Add one line to the log and hand it to the disk."""
        with telling_of_full_disk(self.events_file), self.events_file.open("a", encoding="utf-8") as log:
            log.write(json.dumps(event, ensure_ascii=False) + "\n")
            log.flush()
            os.fsync(log.fileno())

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The log so far, or its events of one kind; a half-written last line is left out."""
        if not self.events_file.exists():
            return []
        whole = self.events_file.read_bytes().split(b"\n")[:-1]  # in bytes: a cut may go through a character
        try:
            events = [json.loads(line) for line in whole]
            if not all(isinstance(event, dict) and "event" in event for event in events):
                raise ValueError("a line holds no event")
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{self.events_file}: the log is damaged ({error}); train again in a new --output"
            ) from error
        return [event for event in events if kind in (None, event["event"])]

    def rewind_events(self, size: int) -> None:
        """Cut the log to ``size`` bytes: what came after a checkpoint is lost work, and will be done again."""
        there = self.events_file.stat().st_size if self.events_file.exists() else 0
        if there < size:
            raise UserError(
                f"{self.events_file}: is shorter than when the checkpoint was made; train in a new --output"
            )
        if there:
            os.truncate(self.events_file, size)

    @property
    def end(self) -> dict[str, Any] | None:
        """The end event, if training has come to one."""
        ends = self.events("end")
        return ends[-1] if ends else None

    # Checkpoints

    def save_checkpoint(
        self, update: int, place: dict[str, Any], write: Callable[[Path], None], *, spared: int | None = None
    ) -> None:
        """Write a checkpoint by ``write(folder)``, with checksums; keep the newest two and update ``spared``."""
        place = {**place, "events_size": self.events_file.stat().st_size if self.events_file.exists() else 0}
        with writing(self._checkpoint(update)) as folder:
            folder.mkdir()
            write(folder)
            (folder / "place.json").write_text(json.dumps(place))
            sums = {file.name: sha256(file) for file in sorted(folder.iterdir())}
            (folder / "sha256.json").write_text(json.dumps(sums))
        for old in self._checkpoints()[:-KEPT_CHECKPOINTS]:
            if spared is None or old != self._checkpoint(spared):
                remove(old)

    def unfinished_checkpoint(self, update: int) -> Path:
        """The folder in which ``save_checkpoint`` lets a checkpoint be written, before it is renamed."""
        return part_of(self._checkpoint(update))

    def newest_checkpoint(self, notice: Callable[[str], None]) -> Checkpoint | None:
        """The newest undamaged checkpoint, or None if there is none at all; each damaged one is told to ``notice``.

        Raises UserError if there are checkpoints and all are damaged: starting over would lose the log of the run.
        """
        for path in reversed(self._checkpoints()):
            try:
                sums = json.loads((path / "sha256.json").read_text())
                there = {file.name for file in path.iterdir()}
                needed = {"place.json", *(name for name in there if name.endswith(".safetensors"))}
                if needed <= sums.keys() <= there and all(sha256(path / name) == sums[name] for name in sums):
                    return Checkpoint(path, json.loads((path / "place.json").read_text()))
                reason = "its checksums do not match"
            except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:  # some are of other JSON
                reason = str(error)
            notice(f"{path} is damaged ({reason}); looking for the one before")
        if self._checkpoints():
            raise UserError(f"{self.path}: all its checkpoints are damaged; train again in a new --output")
        return None

    def discard_checkpoints(self, after: int | None = None) -> None:
        """Remove the checkpoints that came after an update; all of them where the result of the run is saved."""
        if after is None:
            remove(self.path / "checkpoints")
            return
        for path in self._checkpoints():
            if path > self._checkpoint(after):
                remove(path)

    def _checkpoint(self, update: int) -> Path:
        return self.path / "checkpoints" / f"update-{update:08d}"

    def _checkpoints(self) -> list[Path]:
        folder = self.path / "checkpoints"
        return sorted(path for path in folder.glob("update-*") if path.is_dir()) if folder.exists() else []

    # Results

    @contextmanager
    def keeping(self, recipe: Recipe, end: dict[str, Any]) -> Iterator[Path]:
        """Yield a folder for a result; when the block ends it is a finished run of ``recipe``, in epochs/.

        Its environment and its events are those of this run so far, closed by the event ``end``.
        """
        with writing(self.path / "epochs" / f"{recipe.epochs:03}") as folder:
            kept = RunDir.create(folder, recipe, self.environment)
            shutil.copy(self.events_file, kept.events_file)
            kept.append(end)
            yield folder

    @property
    def kept(self) -> dict[int, "RunDir"]:
        """Epoch → the run that was kept then, in order."""
        folders = [path for path in (self.path / "epochs").glob("*/") if path.name.isdigit()]
        return {int(path.name): RunDir(path) for path in sorted(folders, key=lambda path: int(path.name))}

    @property
    def result(self) -> Path:
        """The trained adapter or model. Raises UserError if the run has not come that far."""
        for name in ("adapter", "model"):
            if (self.path / name).is_dir():
                return self.path / name
        if self.end and self.end["reason"] == "nan":
            raise UserError(f"{self.path}: training diverged (NaN); train with a smaller --lr in a new --output")
        if self.end and self.end["reason"] in ENDED:
            raise UserError(f"{self.path}: its adapter or model has been removed; train again in a new --output")
        raise UserError(f"{self.path}: training has not ended; repeat its command with --resume, unless it still runs")
