"""What long work says where no bar can be seen: not of time, but of a clock that the test turns."""

import io
import sys

import pytest
from rich.console import Console

from hyperfit import console
from hyperfit.console import News, duration, partly, progress, say, within
from hyperfit.generation.continuations import continue_contexts
from tiny_models import tiny_model, tiny_tokenizer


class Hand:
    """A clock that is turned by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand = Hand()
    monkeypatch.setattr(console, "NEWS", News(hand))
    return hand


def test_lines_come_now_and_then_with_what_is_done_and_what_is_left(
    clock: Hand, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("texts", 40) as advance:
        for _ in range(8):
            clock.now += 7
            advance(4)
    # a line at 21, 42 s: 12 of 40 in 21 s leave 49 s; 24 of 40 in 42 s leave 28 s
    assert capsys.readouterr().err.splitlines() == [
        "texts: 12 of 40 (30 %, about 49 s left)",
        "texts: 24 of 40 (60 %, about 28 s left)",
    ]


def test_lines_begin_with_what_the_work_is_a_part_of(clock: Hand, capsys: pytest.CaptureFixture[str]) -> None:
    with within("first training"), progress("updates", 4) as advance:
        clock.now += 21
        advance(1)
    with progress("texts", 4) as advance:
        clock.now += 21
        advance(1)
    assert [line.partition(" (")[0] for line in capsys.readouterr().err.splitlines()] == [
        "first training: updates: 1 of 4",
        "texts: 1 of 4",
    ]


def test_short_work_says_nothing_and_many_short_works_do(clock: Hand, capsys: pytest.CaptureFixture[str]) -> None:
    for place in range(5):
        with progress(f"work {place}", 1) as advance:
            clock.now += 9
            advance(1)
    assert capsys.readouterr().err.splitlines() == ["work 2: 1 of 1 (100 %)"]


def test_any_line_is_news(clock: Hand, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("texts", 9) as advance:
        clock.now += 19
        say("something else")
        clock.now += 19
        advance(1)
    assert capsys.readouterr().err == "something else\n"


def test_a_batch_under_way_counts_in_part(clock: Hand, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("models", 4, each=10) as advance:
        advance(1)
        clock.now += 30
        partly(5)  # 1.5 of 4 in 30 s leave 50 s
        advance(1)
        clock.now += 30
        advance(0)
    assert capsys.readouterr().err.splitlines() == [
        "models: 1 of 4 (38 %, about 50 s left)",
        "models: 2 of 4 (50 %, about 60 s left)",
    ]
    partly(3)  # no work is under way


def test_writing_one_large_batch_is_not_silent(clock: Hand, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_model()
    whole = model.forward

    def slow(*positional: object, **named: object) -> object:
        clock.now += 10
        return whole(*positional, **named)

    model.forward = slow  # type: ignore[method-assign]
    with progress("texts", 2) as advance:
        continue_contexts(model, tiny_tokenizer(), [[5, 6], [7, 8]], new_tokens=8, batch_size=2, advance=advance)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4  # 80 seconds
    assert lines[1].startswith("texts: 0 of 2 (38 %, about ")


def test_the_work_inside_is_the_one_that_speaks(clock: Hand, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("outer", 2) as outer:
        with progress("inner", 2, quiet=True) as inner:
            clock.now += 30
            inner(1)
            partly(1)
        outer(1)
    assert capsys.readouterr().err == "outer: 1 of 2 (50 %, about 30 s left)\n"


def test_a_terminal_has_a_bar_and_no_lines(clock: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(console, "Console", lambda stderr: Console(file=shown, force_terminal=True, width=80))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress("texts", 40) as advance:
        clock.now += 30
        advance(12)
    assert "12/40" in shown.getvalue()
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (12000, "3 h 20 min")]
)
def test_a_time_to_wait(seconds: float, told: str) -> None:
    assert duration(seconds) == told
