"""Which column of a table holds the texts."""

from collections.abc import Sequence
from dataclasses import dataclass

from hyperfit.errors import UserError

CHATS = ({"role", "content"}, {"from", "value"})
"""Fields of a message, as chat data has them."""


@dataclass(frozen=True)
class TextColumn:
    """Which column is wanted."""

    name: str | None = None
    """None: one of the usual ones, else the only one that holds strings."""
    usual: tuple[str, ...] = ("text",)

    def of(self, source: str, names: Sequence[str], strings: Sequence[str], chats: Sequence[str] = ()) -> str:
        """The column to read. Raises UserError with what is wrong, and what would do.

        names: all columns. strings: those that hold strings. chats: those that hold lists of messages.
        """
        found = [name for name in self.usual if name in strings]
        if self.name is not None:
            chosen, called = self.name, f"--text-column {self.name}: in {source} this column"
        elif not found and not chats and len(strings) == 1:
            chosen, called = strings[0], f"--data {source}: {strings[0]}"
        else:
            chosen = [*found, self.usual[0]][0]
            called = f"--data {source}: a column named {' or '.join(self.usual)}"
        if chosen in strings and list(names).count(chosen) == 1:
            return chosen
        if chats and (self.name is None or self.name in chats):
            raise UserError(
                f"--data {source}: holds chats (in the column {chats[0]}), and only plain text can be read yet; write "
                f"the text of each chat into a column named {self.usual[0]}"
            )
        if not strings:
            raise UserError(
                f"--data {source}: none of its columns holds strings; give texts, one a row, in a column named "
                f"{self.usual[0]}. Its columns are {', '.join(names)}"
            )
        if chosen not in names:
            reason = "is not there"
        else:
            reason = "does not hold strings" if chosen not in strings else "stands more than once"
        raise UserError(
            f"{called} {reason}; name one that holds strings with --text-column. Its columns are {', '.join(names)}"
        )
