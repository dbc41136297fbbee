"""hyperfit cache list, hyperfit cache clear."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from hyperfit.commands.interface.output import Json, terminal
from hyperfit.errors import UserError, collecting

RUNS_CACHE = Path("runs/.prefix-cache")


@dataclass(frozen=True, kw_only=True)
class CacheList:
    """Show the prefix caches in a folder: what they hold, how large they are, when they were last used."""

    cache_dir: Path = RUNS_CACHE
    """Folder of the caches: .prefix-cache beside the runs, or what --cache-dir named."""
    json: Json = False
    """Print one JSON object a line."""

    def run(self) -> None:
        """Print a line a cache."""
        from hyperfit.prefix.disk.sizes import readable
        from hyperfit.prefix.disk.store import entries

        found = entries(self.cache_dir)
        if self.json:
            for entry in found:
                print(json.dumps({"name": entry.path.name, **entry.about, "used": round(entry.used)}))
            return
        if not found:
            print(nothing_in(self.cache_dir))
            return
        from rich.table import Column, Table
        from rich.text import Text

        headings = ("model", "blocks", "states", "type", "size", "last used")
        columns = [Column("name", no_wrap=True), *(Column(heading, overflow="fold") for heading in headings)]
        table = Table(*columns, box=None)
        for entry in found:
            states = entry.about["states"]
            table.add_row(
                entry.path.name,
                Text(Path(entry.about["model"]).name),
                f"0–{entry.about['key']['blocks'] - 1}",
                " × ".join(map(str, states["shape"])),
                states["dtype"],
                readable(states["bytes"]),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)),
            )
        console = terminal()
        with console.capture() as page:
            console.print(table)
        print(page.get(), end="")


def nothing_in(folder: Path) -> str:
    """What is said of a folder without caches: whether it is there at all, and what would name another."""
    if folder.is_dir():
        return f"no prefix caches in {folder}"
    return f"{folder}: no such folder, so no prefix caches; --cache-dir names another"


@dataclass(frozen=True, kw_only=True)
class CacheClear:
    """Remove prefix caches, and what interrupted fills have left. A run that is reading one goes on undisturbed.

    Without names and flags, all. With --older-than or --max-size, what either asks for, but none that a run is reading.
    """

    names: Annotated[Positional[tuple[str, ...]], arg(metavar="[NAME ...]")] = ()
    """Those to remove, as hyperfit cache list names them."""
    older_than: str | None = None
    """Remove those that have not been used for so long: minutes, hours or days, such as 90m, 12h or 7d."""
    max_size: str | None = None
    """Remove the least recently used until the rest takes no more: in KB, MB, GB or TB, such as 10GB."""
    dry_run: bool = False
    """Only say what would go."""
    cache_dir: Path = RUNS_CACHE
    """Folder of the caches: .prefix-cache beside the runs, or what --cache-dir named."""

    def run(self) -> None:
        """Remove, and say what has gone."""
        from hyperfit.prefix.disk.eviction import clear
        from hyperfit.prefix.disk.sizes import age_from, readable, size_from

        problems: list[str] = []
        age, size = None, None
        if self.names and (self.older_than or self.max_size):
            problems.append("--older-than, --max-size: choose among all caches; leave out the names, or these flags")
        with collecting(problems):
            age = None if self.older_than is None else age_from(self.older_than, "--older-than")
        with collecting(problems):
            size = None if self.max_size is None else size_from(self.max_size, "--max-size")
        if problems:
            raise UserError(*problems)
        gone = clear(self.cache_dir, self.names, older_than=age, max_size=size, dry_run=self.dry_run)
        for name, bytes_gone in gone:
            print(f"{'would remove' if self.dry_run else 'removed'} {name} ({readable(bytes_gone)})")
        if not gone:
            there = "" if self.cache_dir.is_dir() else ": there is no such folder"
            print(f"nothing to remove in {self.cache_dir}{there}")


class Cache:
    """Show or remove prefix caches: the frozen blocks' output, kept so that runs on the same data can share it."""
