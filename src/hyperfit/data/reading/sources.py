"""Text of any kind → documents: files, folders of files, hub data sets, the embedded texts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hyperfit.console import say
from hyperfit.data.builtin import PREFIX, text_source
from hyperfit.data.reading.columns import TextColumn
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.folders import files_of
from hyperfit.data.reading.parts import parts_of_folder
from hyperfit.data.reading.tables import READERS, read_hub
from hyperfit.errors import UserError, collecting
from hyperfit.numbers import COUNT

ENDINGS = ", ".join(READERS)


@dataclass
class Found:
    """What a source holds, and what people should know of how it was read."""

    train: list[Document] = field(default_factory=list)
    heldout: list[Document] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_documents(
    source: str, column: str | None = None, flag: str = "--data", notify: Callable[[str], None] = say
) -> tuple[list[Document], list[Document]]:
    """All documents of a source, in order, and those it sets apart as held out (often none).

    source: a .txt (one document), .jsonl, .csv or .parquet file (one document a row), a folder of
    such files, a hub data set ORG/NAME[:CONFIG[:SPLIT]], or builtin:NAME. A folder whose files or folders are named as
    parts of a data set (``hyperfit.data.reading.parts``) is taken so; what is for a last test is not read. Hidden files
    are not read either. column: the text column of tables. notify: told of files and rows that are passed over.
    Raises UserError naming the flag and every file that cannot be read, and why.
    """
    with given_by(flag):
        found = read_source(source, TextColumn(column))
    kept = [[document for document in part if document.text.strip()] for part in (found.train, found.heldout)]
    if blank := len(found.train) + len(found.heldout) - sum(map(len, kept)):
        found.notes.append(f"{source}: {blank} row{'s' * (blank > 1)} without text passed over")
    if not source.startswith(PREFIX):
        for note in found.notes:
            notify(note)
    return kept[0], kept[1]


def read_prompts(file: Path, column: str | None = None) -> list[Document]:
    """Every text or chat of a file or folder, in order and as it is, but for the line end at the end of a .txt file.

    The column of tables is ``column``, else prompt, else text, else the only one of chats, or of strings. Raises
    UserError that names what cannot be read, and each row without text.
    """
    with given_by("--prompts"):
        found = read_source(str(file), TextColumn(column, usual=("prompt", "text")), whole=True)
    for note in found.notes:
        say(note)
    blank = [document.origin for document in found.train if not document.text.strip()]
    if blank:
        rest = f" and {COUNT(len(blank) - 10)} more" if len(blank) > 10 else ""
        raise UserError(
            f"--prompts: no text to continue in {', '.join(blank[:10])}{rest}; fill in or remove these rows"
        )
    return [as_prompt(document) for document in found.train]


def as_prompt(document: Document) -> Document:
    """The same; of a .txt file without the line end that editors put at the end."""
    if Path(document.origin).suffix.lower() == ".txt":
        return replace(document, text=document.text.removesuffix("\n").removesuffix("\r"))
    return document


@contextmanager
def given_by(flag: str) -> Iterator[None]:
    """Let problems with a source name the flag that it was given by."""
    try:
        yield
    except UserError as error:
        raise UserError(*(problem.replace("--data ", f"{flag} ", 1) for problem in error.problems)) from error


def read_source(source: str, column: TextColumn, whole: bool = False) -> Found:
    """All rows of a source, also those without text; whole: of every part, as one."""
    path = Path(text_source(source))
    if path.is_dir():
        return read_folder(path, column, whole)
    if path.is_file():
        found = Found()
        found.train = read_file(path, column, found.notes)
        return found
    if path.suffix.lower() in READERS or source.count("/") > 1 or source.startswith((".", "/", "~")):
        raise UserError(f"--data {source}: no such file or folder (seen from {Path.cwd()}); name another")
    return Found(with_text(source, read_hub(source, column)))


def read_folder(folder: Path, column: TextColumn, whole: bool) -> Found:
    """The files of a folder and of those in it, in the order of their names, by parts where it has some."""
    files, notes = files_of(folder, READERS)
    found = Found(notes=notes)
    parts = {} if whole else parts_of_folder(folder, files)
    if parts:
        alone = {"test": len(parts.get("test", ())), "other": len(files) - sum(map(len, parts.values()))}
        left = [f"{count} {kind} left alone" for kind, count in alone.items() if count]
        counts = [f"{len(parts['train'])} to train on", f"{len(parts.get('heldout', ()))} held out", *left]
        found.notes.append(f"{folder}: files split by their names, {', '.join(counts)}")
    problems: list[str] = []
    for documents, paths in ((found.train, parts.get("train", files)), (found.heldout, parts.get("heldout", ()))):
        for path in paths:
            with collecting(problems):
                documents += read_file(path, column, found.notes)
    if problems:
        raise UserError(*problems)
    return found


def read_file(path: Path, column: TextColumn, notes: list[str]) -> list[Document]:
    """The documents of a file."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        ending = path.suffix or "a file with no ending"
        raise UserError(f"--data {path}: cannot read {ending}; give {ENDINGS}")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"--data {path}: cannot be read ({error.strerror}); change that or name another") from error
    if size == 0:
        raise UserError(f"--data {path}: the file is empty; remove it or name another")
    return with_text(str(path), reader(path, column, notes))


def with_text(source: str, documents: list[Document]) -> list[Document]:
    """The documents as they are. Raises UserError if none holds text."""
    if not any(document.text.strip() for document in documents):
        raise UserError(f"--data {source}: holds no text; remove it or name another")
    return documents
