"""The text of a file."""

from pathlib import Path

from hyperfit.errors import UserError


def decode(path: Path) -> str:
    """All of a file as UTF-8 text, without a byte order mark. Raises UserError with what it is instead."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        raise UserError(f"--data {path}: cannot be read ({error.strerror}); change that or name another") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"--data {path}: not UTF-8 text (byte {error.start} is {error.object[error.start]:#04x}); convert it first"
        ) from error
    if "\0" in text:
        raise UserError(f"--data {path}: binary, not text (byte {raw.index(0)} is NUL); remove it or name another")
    return text
