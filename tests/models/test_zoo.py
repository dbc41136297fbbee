"""Every model type of transformers that can be built here is served as docs/models.md says."""

from pathlib import Path

import pytest
from marks import marks_of
from table import DOCS, row, rows
from zoo import CAUSAL, MULTIMODAL, UNBUILT

KINDS = [kind for kind in (*CAUSAL, *MULTIMODAL) if kind not in UNBUILT]


def test_the_table_has_every_type() -> None:
    assert list(rows(DOCS.read_text(encoding="utf-8"))) == KINDS
    assert set(UNBUILT) <= {*CAUSAL, *MULTIMODAL}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")  # of families' own code
def test_a_type_is_served_as_the_table_says(kind: str, tmp_path: Path) -> None:
    assert row(kind, marks_of(kind, tmp_path)) == rows(DOCS.read_text(encoding="utf-8"))[kind]


def test_most_types_can_be_hyperfitted_with_an_exact_prefix() -> None:
    """A generic method was measured to serve 147 of the causal LMs without encoders, 143 with such a prefix."""
    table = rows(DOCS.read_text(encoding="utf-8"))
    cells = [[cell.strip() for cell in table[kind].split("|")[1:-1]] for kind in CAUSAL if kind in table]
    assert sum(found.startswith("yes") for _, _, found, *_ in cells) >= 147
    assert sum(prefix == "yes" for *_, prefix in cells) >= 143
    assert not any(found.startswith("fails") for _, _, found, *_ in cells)
