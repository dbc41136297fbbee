"""Tables in terminals of any width: no name and no number is cut, and no two rows read alike."""

import json
import os
import pty
import re
import termios
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from forked import START, python
from hyperfit.cli import main
from hyperfit.metrics.estimate import Estimate
from hyperfit.report.tables.measures import DIVERSITY, MEMORISATION
from hyperfit.report.tables.table import Cell, Row, Sheet, TerminalSheets, broken

MEASURES = (*DIVERSITY[:4], *MEMORISATION[:4])
NAMES = (
    "base/greedy",
    "hyperfitted/nucleus:top_p=0.90",
    "hyperfitted/nucleus:top_p=0.95",
    "hyperfitted/nucleus:top_p=0.95,temperature=1,top_k=50",
    "hyperfitted/nucleus:top_p=0.95,temperature=1,top_k=50+blocked",
    "hyperfitted/no-repeat-ngram:no_repeat_ngram_size=4",
    "an-organisation-with-a-long-name/a-model-with-a-name-that-has-no-end-7B-v1/greedy",
    "an-organisation-with-a-long-name/a-model-with-a-name-that-has-no-end-7B-v2/greedy",
    "漢字の名前がとても長いモデルの名前です/greedy",
    "hyperfitted/greedy − base/greedy",
)


def sheet(names: tuple[str, ...] = NAMES) -> Sheet:
    """A row a name, each with numbers of its own."""
    return Sheet(
        "wide",
        "Wide",
        [
            Row(
                name,
                [
                    Cell(f"{1000 + place}.{number}", f"[{place}.1, {place}.9]", Estimate(1, 0, 2, 30))
                    for number in range(len(MEASURES))
                ],
            )
            for place, name in enumerate(names)
        ],
        MEASURES,
    )


def printed(width: int, *sheets: Sheet) -> list[str]:
    file = StringIO()
    Console(file=file, width=width).print(TerminalSheets(sheets))
    return file.getvalue().splitlines()


def bare(text: str) -> str:
    """Without white space, which lines may begin and end with."""
    return "".join(text.split())


def names_in(lines: list[str]) -> list[str]:
    """The names of the rows, put together from the first column of their lines; a row begins where a value stands."""
    rows: list[str] = []
    for line in lines:
        first = re.split(r"  +| \d+\.\d| \[", line)[0] if not line.startswith(" ") else ""
        if re.search(r"\b1\d\d\d\.\d", line):
            rows.append("")
        if rows and not line.startswith(("─", "n =", "Wide")):
            rows[-1] += bare(first)
    return rows


@pytest.mark.parametrize("width", range(60, 141, 5))
def test_every_name_can_be_read_back_at_any_width(width: int) -> None:
    lines = printed(width, sheet())
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    assert set(names_in(lines)) == set(map(bare, NAMES))
    for row in sheet().rows:
        for cell in row.cells:
            assert sum(cell.value in line for line in lines) == 1
            assert sum(cell.interval in line for line in lines) >= 1


@given(st.lists(st.text(st.sampled_from("ab/:,+ −=_-.漢"), min_size=1, max_size=70), min_size=1, max_size=4))
def test_breaking_a_name_loses_nothing(names: list[str]) -> None:
    for name in names:
        assert bare(broken(name)) == bare(name)


def test_what_cannot_be_seen_is_written_out() -> None:
    assert broken("a\u202eb\x1b[2J") == "a\\u202eb\\x1b[2J"
    assert broken("a\nb") != broken("ab")


def test_names_break_between_their_pieces() -> None:
    assert broken(NAMES[4]).split("\n") == ["hyperfitted/nucleus:", "top_p=0.95,", "temperature=1,", "top_k=50+blocked"]
    assert broken(NAMES[-1]).split("\n") == ["hyperfitted/greedy ", "− base/greedy"]
    assert broken("base/greedy") == "base/greedy"


def in_terminal(width: int, *arguments: str) -> str:
    """What a command shows on a terminal of so many columns, without what colours it."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (40, width))
    with patch.dict(os.environ, TERM="xterm-256color"):
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            os.environ.pop(name, None)
        running = python(START, *arguments, stdout=follower)
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    running.join()
    assert running.exitcode == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n")


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_of_so_many_columns_shows_the_whole_table(width: int, tmp_path: Path) -> None:
    decodings = ("nucleus:top_p=0.90,temperature=0.70", "nucleus:top_p=0.95,temperature=0.70")
    file = tmp_path / "texts.jsonl"
    words = "the quick brown fox jumps over a lazy dog and then it sleeps under some old tree ".split()
    rows = [
        {
            "continuation": " ".join(words[(place * step) % len(words)] for place in range(120)),
            "model": "some-organisation/some-model-7B",
            "decoding": decoding,
        }
        for decoding in decodings
        for step in (1, 5, 7)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = in_terminal(width, "evaluate", "--texts", str(file))
    lines = shown.splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in shown
    column = bare("".join(line[:20] for line in lines))
    for decoding in decodings:
        assert bare(f"some-organisation/some-model-7B/{decoding}") in column


def test_texts_from_elsewhere_say_whose_tokens_count_and_have_no_figures_of_the_papers_beside_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "texts.jsonl"
    rows = [
        {
            "continuation": "one two three " * 50,
            "reference": "four five six " * 50,
            "model": model,
            "decoding": "greedy",
        }
        for model in ("base", "hyperfitted")
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    main(["evaluate", "--texts", str(file)])
    shown = " ".join(capsys.readouterr().out.split())
    assert "Tokens are those of builtin:tiny (--tokenizer names another model's)" in shown
    assert "base/greedy" in shown
    assert "human" in shown
    assert "paper (" not in shown
    assert "Carlsson" not in shown
    main(["evaluate", "--texts", str(file), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["settings"]["tokenizer"] == "builtin:tiny"
    assert {number["source"] for table in told["tables"].values() for number in table["numbers"]} == {"measured"}
