"""Damaged files: read, or refused with a message, and nothing else; those that once were not lie in cases/.

HYPERFIT_FUZZ=10000 pytest tests/fuzz      # so many of each kind; what fails is written to cases/ by name
"""

import os
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from fuzz.damage import damaged
from fuzz.reader import Reader
from fuzz.readers import READERS
from hyperfit.errors import UserError

COUNT = int(os.environ.get("HYPERFIT_FUZZ", "60"))
CASES = Path(__file__).parent / "cases"


def check(reader: Reader, content: bytes, folder: Path) -> None:
    """Read the content as such a file. What is raised, other than UserError, goes on."""
    folder.mkdir(exist_ok=True)
    path = folder / reader.name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    reader.beside(folder)
    with warnings.catch_warnings(), suppress(UserError):
        warnings.simplefilter("ignore")  # libraries warn of what they find odd in a file
        reader.read(path)


@pytest.mark.parametrize("kind", READERS)
def test_a_whole_file_is_read(kind: str, tmp_path: Path) -> None:
    reader = READERS[kind]
    (tmp_path / reader.name).parent.mkdir(exist_ok=True)
    (tmp_path / reader.name).write_bytes(reader.whole())
    reader.beside(tmp_path)
    assert reader.read(tmp_path / reader.name)


@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    reader, failed = READERS[kind], list[str]()
    whole = reader.whole()
    for seed in range(COUNT):
        content = damaged(whole, seed)
        try:
            check(reader, content, tmp_path / "file")
        except Exception as error:  # whatever a library may raise is a fault here
            failed.append(f"seed {seed}: {type(error).__name__}: {error}")
            if COUNT > 1000:
                CASES.mkdir(exist_ok=True)
                (CASES / f"{kind.replace(' ', '-')}-{seed}").write_bytes(content)
    assert not failed, "\n".join(failed[:10])


@pytest.mark.parametrize(
    "kind", [kind for kind, reader in READERS.items() if reader.name.endswith((".json", ".jsonl"))]
)
@pytest.mark.parametrize("nested", [b"[", b'{"a":'])
def test_what_is_nested_without_end_is_read_or_refused(kind: str, nested: bytes, tmp_path: Path) -> None:
    check(READERS[kind], nested * 100_000 + b"\n", tmp_path / "file")


@pytest.mark.parametrize("case", sorted(CASES.iterdir()) if CASES.is_dir() else [], ids=lambda case: case.name)
def test_what_was_once_a_fault_is_none_any_more(case: Path, tmp_path: Path) -> None:
    kind = case.name.rpartition("-")[0].replace("-", " ")
    check(READERS[kind], case.read_bytes(), tmp_path / "file")
