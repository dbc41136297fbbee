"""Every exchange with a judge, kept as JSON lines: what was answered is not asked again."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError
from hyperfit.prefer.judgement import Choice
from hyperfit.prefer.judges.endpoint import Exchange
from hyperfit.prefer.judges.prompt import Messages
from hyperfit.runs.files import disk_full


@dataclass(frozen=True)
class Kept:
    """An answer that there is."""

    choices: dict[str, Choice]
    seconds: float
    usage: dict[str, int]
    """Tokens read and written, as far as the server told."""


class ExchangeLog:
    """The file of exchanges beside a file of judgements; a half-written last line is cut off."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> None:
        """Make its folder, and cut off what a kill has left half-written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            whole = self.path.read_bytes().rpartition(b"\n")[0]
            os.truncate(self.path, len(whole) + 1 if whole else 0)

    def append(self, key: str, about: dict[str, Any], done: Exchange, choices: dict[str, Choice], problem: str) -> None:
        """Add one exchange. choices: what it answered; empty where it did not."""
        row = {
            "key": key,
            **about,
            "request": done.request,
            "status": done.status,
            "reply": done.reply,
            "error": done.error,
            "problem": problem,
            "seconds": round(done.seconds, 3),
            "choices": choices,
        }
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        except OSError as failure:
            if disk_full(failure):
                raise UserError(f"{self.path}: the disk is full; free some space and repeat the command") from failure
            raise

    def answered(self) -> dict[str, Kept]:
        """Key → its answer. Raises UserError for a damaged file."""
        return {
            row["key"]: Kept(row["choices"], row["seconds"], usage_of(row["reply"]))
            for row in self.rows()
            if row["choices"]
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """All that was kept."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    row = json.loads(line)
                    row["key"], row["choices"], row["seconds"], row["reply"]
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    raise UserError(
                        f"{self.path}, line {number}: is damaged ({error}); remove that line, or name another --output"
                    ) from error
                yield dict(row)


def key_of(model: str, chat: Messages) -> str:
    """What tells a question from all others: the model, and all that it reads."""
    return sha256(json.dumps([model, chat], ensure_ascii=False).encode("utf-8", "replace")).hexdigest()[:16]


def usage_of(reply: Any) -> dict[str, int]:
    """Tokens read and written, as a server tells them; 0 where it does not."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    return {
        name: value if isinstance(value := usage.get(name), int) and value >= 0 else 0
        for name in ("prompt_tokens", "completion_tokens")
    }
