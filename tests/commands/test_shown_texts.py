"""What generate prints: where each prompt and each text begins and ends can be told, with and without colours."""

from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hyperfit.commands.interface.written import plain, show_written

ROWS = [
    {"prompt": "The ferry was late", "continuation": " again,\nand"},
    {"prompt": "A pig", "continuation": "gy bank.\n"},
]


def test_in_a_pipe_by_hand() -> None:
    assert plain(ROWS) == (
        "=== 1 of 2, prompt\nThe ferry was late\n=== 1 of 2, continuation\n again,\nand\n"
        "=== 2 of 2, prompt\nA pig\n=== 2 of 2, continuation\ngy bank.\n\n=== end\n"
    )


texts = st.text(st.sampled_from("a= \n"), max_size=30)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_every_text_can_be_read_back_even_if_it_looks_like_a_mark(pairs: list[tuple[str, str]]) -> None:
    shown = plain([{"prompt": prompt, "continuation": text} for prompt, text in pairs])
    mark = shown.split(" ", 1)[0]
    found, current = [], None
    for line in shown.split("\n"):
        if line.startswith(f"{mark} "):
            found.append(current := [])
        elif current is not None:
            current.append(line)
    read = ["\n".join(lines) for lines in found[:-1]]
    assert read == [text for pair in pairs for text in pair]


def styled(**how: object) -> str:
    file = StringIO()
    show_written([{"prompt": "A \x1b[2Jpig", "continuation": "gy [bank]"}], Console(file=file, width=80, **how))  # type: ignore[arg-type]
    return file.getvalue()


def test_on_a_terminal_the_prompt_is_bold_and_the_text_goes_on_from_it() -> None:
    for how in ({}, {"no_color": True}):
        shown = styled(force_terminal=True, color_system="256", **how)
        assert "\x1b[1mA [2Jpig\x1b[0mgy [bank]\n" in shown
        assert "text 1 of 1" in shown


def test_a_terminal_without_styles_gets_marks(capsys: object) -> None:
    assert styled(force_terminal=True, color_system=None) == ""
    assert capsys.readouterr().out.startswith("=== 1 of 1, prompt\nA ")  # type: ignore[attr-defined]
