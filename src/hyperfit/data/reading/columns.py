"""Which columns of a table hold the texts or the chats."""

from collections.abc import Sequence
from dataclasses import dataclass

from hyperfit.errors import UserError

CHATS = ("messages", "conversations")
"""What the columns of chats are usually called."""
PAIR = ("prompt", "completion")
"""Columns of what is given and what is to follow it."""


@dataclass(frozen=True)
class TextColumn:
    """Which column is wanted."""

    name: str | None = None
    """None: one of the usual ones, else the only one that holds chats, or strings."""
    usual: tuple[str, ...] = ("text",)

    def of(
        self, source: str, names: Sequence[str], strings: Sequence[str], chats: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """The column to read, or the PAIR. Raises UserError with what is wrong, and what would do.

        names: all columns. strings: those that hold strings. chats: those that hold lists of messages.
        """
        held = [*strings, *chats]
        found = [name for name in self.usual if name in held]
        usual_chats = [name for name in CHATS if name in chats]
        if self.name is not None:
            chosen, called = self.name, f"--text-column {self.name}: in {source} this column"
        elif not found and set(PAIR) <= set(names):
            if not any(set(PAIR) <= set(kind) for kind in (strings, chats)):
                raise UserError(
                    f"--data {source}: prompt and completion have to hold strings, or both lists of messages, and do "
                    "not; mend them, or name the one column that holds the texts with --text-column"
                )
            return PAIR
        elif not found and usual_chats:
            chosen, called = usual_chats[0], f"--data {source}: {usual_chats[0]}"
        elif not found and len(chats) == 1:
            chosen, called = chats[0], f"--data {source}: {chats[0]}"
        elif not found and not chats and len(strings) == 1 and strings[0] in CHATS:
            raise UserError(
                f"--data {source}: {strings[0]} holds strings, and not lists of messages; write the chats as .jsonl or "
                f".parquet, or give --text-column {strings[0]} if these strings are texts"
            )
        elif not found and not chats and len(strings) == 1:
            chosen, called = strings[0], f"--data {source}: {strings[0]}"
        else:
            chosen = [*found, self.usual[0]][0]
            called = f"--data {source}: a column named {' or '.join(self.usual)}"
        if chosen in held and list(names).count(chosen) == 1:
            return (chosen,)
        if not held:
            raise UserError(
                f"--data {source}: none of its columns holds strings; give texts, one a row, in a column named "
                f"{self.usual[0]}. Its columns are {', '.join(names)}"
            )
        if chosen not in names:
            reason = "is not there"
        else:
            reason = "does not hold strings" if chosen not in held else "stands more than once"
        what = "strings or chats" if chats else "strings"
        raise UserError(
            f"{called} {reason}; name one that holds {what} with --text-column. Its columns are {', '.join(names)}"
        )
