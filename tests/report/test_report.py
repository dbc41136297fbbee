"""The report: repeated spans, tables, curves, and the page."""

import math
import re
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from hyperfit.errors import UserError
from hyperfit.report.pages.run import write_report
from hyperfit.report.pages.verdicts import probes_verdict
from hyperfit.report.plots.training import loss_panel, overlap_panel, ttr_panel
from hyperfit.report.tables.evaluations.papers import more_tables, paper_tables
from hyperfit.report.tables.evaluations.strip import strips
from hyperfit.report.tables.evaluations.summary import summary
from hyperfit.report.tables.exports import escaped, numbers, to_csv, to_latex
from hyperfit.report.tables.measures import MEMORISATION
from hyperfit.report.tables.table import Row, Sheet, TerminalSheets, parts
from hyperfit.report.texts.repetition import repeated_spans, split
from hyperfit.report.texts.samples import beginning, copied, examples, terminal_copies, terminal_texts
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import write_json
from made_runs import NUMBERS, about, curve, evaluation, make_run, with_copies, write_samples

Make = Callable[..., RunDir]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A run's folder with everything in it, or with parts left out."""
    return partial(make_run, tmp_path / "run")


def page(run: RunDir, texts: int = 6) -> str:
    return write_report(run, texts).read_text(encoding="utf-8")


def words_of(html: str) -> str:
    """What a reader sees, white space collapsed."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL).split())


def printed(shown: RenderableType, width: int = 80) -> str:
    """What a terminal of so many columns would get, without colours."""
    file = StringIO()
    Console(file=file, width=width).print(shown)
    return file.getvalue()


# Repeated spans

words = st.lists(st.sampled_from(["a", "B", "b,", "c", "—", "d.\n\n", "(e"]), max_size=60)
spaced = st.builds(lambda parts: " ".join(parts), words)


@given(st.text() | spaced)
def test_pieces_concatenate_to_the_text(text: str) -> None:
    pieces = repeated_spans(text)
    assert "".join(piece for piece, _ in pieces) == text
    assert all(piece for piece, _ in pieces)


@given(st.lists(st.text("abc", min_size=1), unique=True, max_size=40))
def test_a_text_without_repeated_words_has_no_colours(different: list[str]) -> None:
    text = " ".join(different)
    assert repeated_spans(text) == ([(text, None)] if text else [])


@given(spaced, st.integers(2, 5))
def test_the_repeated_words_are_coloured_and_no_others(text: str, least: int) -> None:
    bare = [word.bare for word in split(text)]
    grams = [tuple(bare[start : start + least]) for start in range(len(bare) - least + 1)]
    again = [start for start, gram in enumerate(grams) if grams.count(gram) > 1]
    repeated = {place for start in again for place in range(start, start + least)}
    colours = [colour for piece, colour in repeated_spans(text, least) for _ in split(piece)]
    assert {place for place, colour in enumerate(colours) if colour is not None} == repeated
    for start in again:
        assert colours[start : start + least] == [colours[grams.index(grams[start])]] * least


@given(spaced)
def test_colours_count_from_0_in_order_of_appearance(text: str) -> None:
    colours = [colour for _, colour in repeated_spans(text) if colour is not None]
    assert list(dict.fromkeys(colours)) == list(range(len(set(colours))))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("one two three one two three", [("one two three one two three", None)]),
        (
            "He sat by the door. Rain fell on us. He sat by the door! And rain fell on us",
            [
                ("He sat by the door.", 0),
                (" ", None),
                ("Rain fell on us.", 1),
                (" ", None),
                ("He sat by the door!", 0),
                (" And ", None),
                ("rain fell on us", 1),
            ],
        ),
        (
            "Oh, it was a big dog. It was a big dog. It was",
            [("Oh, ", None), ("it was a big dog.", 0), (" ", None), ("It was a big dog. It was", 0)],
        ),
        ("ha ha ha ha ha ha ha ha", [("ha ha ha ha", 0), (" ", None), ("ha ha ha ha", 0)]),
    ],
    ids=["empty", "three words", "two spans", "loop", "one word"],
)
def test_repeated_spans_by_hand(text: str, pieces: list[tuple[str, int | None]]) -> None:
    assert repeated_spans(text) == pieces


def test_spans_that_only_touch_have_colours_of_their_own() -> None:
    pieces = repeated_spans("a b c d e f g h x a b c d y e f g h")
    assert [colour for _, colour in pieces] == [0, None, 1, None, 0, None, 1]


def test_spans_that_overlap_share_a_colour() -> None:
    assert {colour for _, colour in repeated_spans("a b c d e f x a b c d y c d e f") if colour is not None} == {0}


# Tables


def own_rows(results: dict[str, Any]) -> list[dict[str, list[str]]]:
    """Each of the papers' tables: our rows, as they are printed."""
    return [
        {row.name: list(map(str, row.cells)) for row in one.rows if not row.source} for one in paper_tables(results)
    ]


def test_rows_are_the_conditions_with_the_human_text_and_the_difference_last() -> None:
    first, second, third = own_rows(evaluation())
    conditions = [*sorted(set(NUMBERS) - {"human"}), "human"]
    assert list(first) == [*conditions, "hyperfitted/greedy − base/greedy"]
    assert list(second) == conditions  # the evaluation has no difference of what this table holds
    assert list(third) == ["base", "hyperfitted"]


def test_numbers_as_they_are_printed() -> None:
    first, second, third = own_rows(evaluation())
    assert first["hyperfitted/greedy"] == [
        ".612 [.592, .632]",
        "1,413 [1,413, 1,413]",
        ".140 [.120, .160]",
        ".069 [.049, .089]",
    ]
    assert second["hyperfitted/greedy"] == ["5.8 [5.8, 5.8]", "23", "3.1 [1.1, 5.1]"]
    assert first["human"][1] == "–"
    assert first["hyperfitted/nucleus"][3] == "–"
    assert first["hyperfitted/greedy − base/greedy"] == ["+.455 [+.435, +.475]", "–", "–", "–"]
    assert third["base"][:2] == ["3.41 [3.39, 3.43]", "31.0 [29.0, 33.0]"]
    assert third["base"][2:] == ["47.0 [45.0, 49.0]", "55.0 [53.0, 57.0]", "127 [127, 127]"]
    assert paper_tables(evaluation())[0].caption == "n = 32 texts; 95 % intervals in brackets."


def test_what_the_papers_found_stands_below_the_row_it_belongs_to() -> None:
    first, second, third = paper_tables(evaluation())
    below = {(row.name, row.source): [cell.value for cell in row.cells] for row in (*first.rows, *second.rows)}
    assert below["base/nucleus", "Carlsson et al. 2025, TinyLlama"] == [".282", "", "", ""]
    assert below["hyperfitted/greedy", "Li et al. 2026, TinyLlama, all parameters"] == [".684", "", ".140", ".069"]
    assert below["hyperfitted/greedy", "Carlsson et al. 2025, table 2"] == ["5.8", "", "< 2.0"]
    ranges = [row for row in third.rows if row.source == "Carlsson et al. 2025, all models"]
    assert [cell.value for cell in ranges[0].cells] == ["2.84–3.48", "48.0–56.0", "", "", ""]
    for place, row in enumerate(third.rows):
        assert not row.source or third.rows[place - 1].name == row.name


def test_what_is_undefined_and_what_was_not_measured() -> None:
    results = evaluation()
    results["conditions"]["human"] = {"ttr": {"value": 0.7, "low": None, "high": None, "n": 1}}
    first, second, _ = own_rows(results)
    assert first["human"] == [".700", "–", "–", "–"]
    assert second["human"] == ["–", "–", "–"]
    assert paper_tables(results)[0].caption.startswith("n = 32 texts unless told")
    assert paper_tables({}) == more_tables({}) == []
    assert [one.name for one in paper_tables({"conditions": {"human": {"ttr": about(math.nan, n=0)}}})] == ["table1"]


def test_headings_speak_of_the_thresholds_that_are_measured() -> None:
    from hyperfit.metrics.copying.memorisation import LONG_OVERLAP

    headings = {measure.key: measure.heading for measure in MEMORISATION}
    assert headings["long_overlap_share"] == f"over {LONG_OVERLAP}, %"


def test_terminal_tables_hold_every_number_in_100_columns() -> None:
    results = evaluation()
    more = {"loop_share": about(0.3), "self_bleu": about(12.3, 4), "word_share": about(0.977)}
    results["conditions"]["hyperfitted/greedy"] |= more
    shown = printed(TerminalSheets(paper_tables(results)), 100)
    assert all(len(line) <= 100 for line in shown.splitlines())
    assert "…" not in shown
    for sheet in paper_tables(results):
        for cell in (cell for row in sheet.rows for cell in row.cells):
            assert cell.value in shown
            assert cell.interval in shown
        assert all(row.source in shown for row in sheet.rows)
    assert shown.count("Table 1. Diversity and perplexity, continued") == 1


def test_a_wide_table_comes_in_parts_that_hold_it_whole() -> None:
    (sheet, *_) = paper_tables(evaluation())
    wide = Sheet("wide", "Wide", [Row(row.name, row.cells * 3, row.source) for row in sheet.rows], sheet.measures * 3)
    count = -(-len(wide.measures) // 6)
    pieces = parts(wide, count)
    assert len(pieces) == count > 1
    assert all(len(piece.measures) <= 6 for piece in pieces)
    assert [len(piece.measures) for piece in parts(sheet, 1)] == [len(sheet.measures)]
    assert tuple(measure for piece in pieces for measure in piece.measures) == wide.measures
    for name in {row.name for row in wide.rows}:
        whole, *pieces_of_it = (
            [row.cells for row in one.rows if row.name == name and not row.source] for one in (wide, *pieces)
        )
        assert whole == [[cell for (cells,) in pieces_of_it for cell in cells]]


# The summary


def test_the_summary_by_hand() -> None:
    results = evaluation()
    for name, loops, words in (("base/greedy", 0.82, 0.97), ("hyperfitted/greedy", 0.04, 0.951), ("human", 0.0, 0.98)):
        results["conditions"][name] |= {"loop_share": about(loops), "word_share": about(words)}
    assert summary(results) == [
        "82 % of the base model's greedy texts end in a loop, 4 % of the hyperfitted, 0 % of human ones.",
        "The price: perplexity on human text goes from 127 to 1,413, and 3 % of texts repeat more than 10 tokens of "
        "the training data.",
        "That is more copying than in Carlsson et al. (at most 2 % of texts, longest runs of 5.8 tokens on average, "
        "here 5.8): more samples, a smaller --lr or --block-citations when generating would lower it.",
    ]
    results["conditions"]["hyperfitted/greedy"]["word_share"] = about(0.81)
    assert "Words that are words fall from 97 % to 81 % (human texts: 98 %)." in summary(results)
    results["conditions"]["hyperfitted/greedy"]["long_overlap_share"] = about(0.0)
    assert summary(results)[1] == (
        "The price: perplexity on human text goes from 127 to 1,413. No hyperfitted text repeats more than 10 tokens "
        "of the training data."
    ), "what nobody pays is no price"


def test_the_bars_by_hand() -> None:
    ttr, copies = strips(evaluation())
    assert ttr.title == "Type–token ratio"
    assert [(bar.name, bar.shown, bar.length) for bar in ttr.bars] == [
        ("base", ".157", "15.7%"),
        ("hyperfitted", ".612", "61.2%"),
        ("human", ".735", "73.5%"),
    ]
    assert ttr.bars[0].span == ("13.7%", "4.0%")
    assert [bar.shown for bar in copies.bars] == ["0 %", "3 %", "0 %"]
    assert copies.bars[0].span == ("0.0%", "4.0%"), "never beyond the ends"
    assert strips({}) == []


def test_a_run_that_was_not_evaluated_greedily_is_summed_up_by_what_there_is() -> None:
    results = evaluation()
    for name in ("base/greedy", "hyperfitted/greedy"):
        del results["conditions"][name]
    assert (
        summary(results)[0] == "The type–token ratio of texts (nucleus) goes from .482 to .631; human texts have .735."
    )


@pytest.mark.parametrize(
    ("overlap", "share", "much"), [(5.8, 0.02, False), (5.81, 0.0, True), (3.0, 0.021, True), (math.nan, 0.0, False)]
)
def test_the_remedy_is_named_where_copying_is_above_the_papers(overlap: float, share: float, much: bool) -> None:
    results = evaluation()
    results["conditions"]["hyperfitted/greedy"] |= {
        "longest_overlap": about(overlap),
        "long_overlap_share": about(share),
    }
    assert ("--block-citations" in summary(results)[-1]) is much
    assert "nan" not in " ".join(summary(results))


def test_a_summary_of_less() -> None:
    assert summary({}) == summary({"conditions": {"texts": {"ttr": about(0.5)}, "human": {}}}) == []
    both = {"base/greedy": {"ttr": about(0.2)}, "hyperfitted/greedy": {"ttr": about(math.nan)}}
    assert summary({"conditions": both}) == []
    both["hyperfitted/greedy"]["ttr"] = about(0.5)
    assert summary({"conditions": both}) == ["The type–token ratio of greedy texts goes from .200 to .500."]
    assert summary({"conditions": {name: {} for name in both}}) == []


# Exports


def test_csv_holds_what_json_holds_unrounded() -> None:
    (sheet, *_) = paper_tables(
        {"conditions": {"base/nucleus": {"ttr": about(0.5), "bigram_repetition": about(math.nan)}}}
    )
    lines = to_csv(sheet).splitlines()
    assert lines == [
        "row,source,measure,value,low,high,n",
        "base/nucleus,measured,ttr,0.5,0.48,0.52,32",
        "base/nucleus,measured,bigram_repetition,,,,32",
        'base/nucleus,"Carlsson et al. 2025, TinyLlama",ttr,0.282,,,',
        'base/nucleus,"Carlsson et al. 2025, DeepSeek 7B, perhaps greedy",ttr,0.497,,,',
    ]
    assert len(list(numbers(sheet))) == len(lines) - 1


def test_latex_says_what_it_means() -> None:
    assert escaped("a_b & 50 % #1 {x} $ ~ ^ \\ <|> −1\n–") == (
        r"a\_b \& 50 \% \#1 \{x\} \$ \textasciitilde{} \textasciicircum{} \textbackslash{} "
        r"\textless{}\textbar{}\textgreater{} $-$1 --"
    )
    (sheet, *_) = paper_tables({"conditions": {"[my_model]": {"loop_share": about(0.5)}}})
    lines = to_latex(sheet).splitlines()
    assert r" & loops, \% \\" in lines
    assert r"{}[my\_model] & 50.0 {\footnotesize [48.0, 52.0]} \\" in lines
    assert [line for line in lines if line.startswith((r"\begin", r"\end"))] == [
        r"\begin{table}",
        r"\begin{tabular}{lr}",
        r"\end{tabular}",
        r"\end{table}",
    ]


# Copies


def test_copies_are_marked_with_their_documents(make: Make) -> None:
    run = make()
    write_json(run.path / "evaluation.json", with_copies())
    html = page(run)
    assert 'It was <mark class="r0"><sup>1</sup>&lt;b&gt;a dark night</mark>.' in html
    assert "<b><bdi>night.txt</bdi></b>: <bdi>Once &amp; never …</bdi>" in html
    assert '<p class="context" dir="auto">There and then …</p>' in html
    assert html.count("<sup>") == 1  # of the hyperfitted text alone
    assert [one.condition for one in copied(with_copies())] == ["hyperfitted/greedy"]
    line = printed(terminal_copies(with_copies()), 100)
    assert line.startswith("Longest copy of hyperfitted/greedy: 9 tokens of night.txt, “Once & never …”")
    assert printed(terminal_copies(evaluation())).strip() == ""


# Curves


def test_equal_input_gives_equal_bytes_and_the_panels_share_no_id() -> None:
    events = curve([2.1, 0.6, 0.04])
    events[-1] |= {"longest_overlap": 7.25}
    panels = [loss_panel(events, 0.05), ttr_panel(events), overlap_panel(events)]
    assert panels == [loss_panel(events, 0.05), ttr_panel(events), overlap_panel(events)]
    ids = [re.findall(r'\bid="([^"]+)"', panel) for panel in panels]
    assert all(len(set(one)) == len(one) for one in ids)
    assert not set(ids[0]) & set(ids[1])
    assert not (set(ids[0]) | set(ids[1])) & set(ids[2])
    assert "Carlsson et al. 5.8" in panels[2]
    for panel, own in zip(panels, ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', panel)) <= set(own)


def test_text_in_curves_is_text_and_colours_are_those_of_the_page() -> None:
    panel = loss_panel(curve([2.1, 0.04]), 0.05)
    assert {"training", "validation", "goal 0.05", "epoch"} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", panel))
    assert not re.search(r"#[0-9a-f]{6}\b|<style|<metadata|http", panel)
    assert "currentColor" in panel


def test_curves_of_what_was_not_measured() -> None:
    assert loss_panel([], 0.05) == ttr_panel([]) == ""
    probeless = [{"event": "epoch", "epoch": 1, "train_loss": 2.0}, {"event": "epoch", "epoch": 2, "train_loss": 1.0}]
    assert ">training<" in loss_panel(probeless, None)
    assert ">validation<" not in loss_panel(probeless, None)
    assert ttr_panel(probeless) == overlap_panel(probeless) == ""
    assert "human" not in ttr_panel(curve([1.0]))


# Texts


def test_examples_are_the_first_of_each_source_in_turn(make: Make) -> None:
    run = make()
    assert len(examples(run.path)) == 6
    assert [one.context for one in examples(run.path, 5)] == ["news 0", "fiction 0", "news 1", "fiction 1", "news 2"]
    assert len(examples(run.path, 99)) == 6
    assert examples(run.path, 0) == examples(run.path, -1) == []


def test_every_condition_stands_beside_the_others(make: Make) -> None:
    run = make()
    write_samples(
        run, {"base-nucleus+p0.9": "So.", "hyperfitted-greedy+blocked": "It was.", "hyperfitted-nucleus+p0.9": ""}
    )
    assert list(examples(run.path, 1)[0].continuations) == [
        "Base, greedy",
        "Hyperfitted, greedy",
        "Human",
        "Hyperfitted, greedy+blocked",
        "Base, nucleus+p0.9",
        "Hyperfitted, nucleus+p0.9",
    ]


@pytest.mark.parametrize(
    ("most", "kept"),
    [
        (3, [("one", None), (" …", None)]),
        (7, [("one two", None), (" …", None)]),
        (12, [("one two ", None), ("one", 0), (" …", None)]),
        (8, [("one two ", None), ("…", None)]),
        (99, [("one two ", None), ("one two three", 0)]),
    ],
)
def test_a_text_is_cut_at_a_word(most: int, kept: list[tuple[str, int | None]]) -> None:
    assert beginning([("one two ", None), ("one two three", 0)], most) == kept


def test_contexts_that_do_not_match_are_left_out(make: Make) -> None:
    run = make()
    write_samples(run, {"human": "Nobody slept."}, contexts=2)
    assert [one.context for one in examples(run.path, 6)] == ["news 0", "news 1"]


def test_a_separator_inside_a_text_does_not_end_its_line(make: Make) -> None:
    run = make()
    write_samples(run, {"human": "before\u2028after"})
    assert examples(run.path, 1)[0].continuations["Human"] == [("before\u2028after", None)]


def test_damaged_samples_and_evaluations_are_named(make: Make) -> None:
    run = make()
    (run.path / "samples" / "human.jsonl").write_text("{broken\n")
    with pytest.raises(UserError, match=r"human\.jsonl: cannot be read"):
        write_report(run)
    (run.path / "evaluation.json").write_text("[")
    with pytest.raises(UserError, match=r"evaluation\.json: cannot be read .* repeat hyperfit evaluate"):
        write_report(run)
    assert not list(run.path.glob("*report*"))


def test_terminal_texts_keep_control_characters_from_the_terminal(make: Make) -> None:
    run = make()
    write_samples(run, {"base-greedy": "red \x1b[31m alarm \x07 tab\there"})
    shown = printed(terminal_texts(run.path, 2))
    assert "news 0" in shown
    assert "red [31m alarm" in shown
    assert not set("\x1b\x07") & set(shown)


# The page


class Outline(HTMLParser):
    """Tags opened and not closed, and every tag and attribute met."""

    VOID = ("meta", "wbr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing_outside_it(make: Make) -> None:
    outline = Outline()
    outline.feed(page(make()))
    assert outline.open == []
    assert not outline.tags & {"script", "link", "img", "iframe", "object"}
    assert not [name for name, _ in outline.attributes if name.startswith("on") or name in ("src", "srcset")]
    assert all((value or "").startswith("#") for name, value in outline.attributes if name.endswith("href"))
    ids = [value for name, value in outline.attributes if name == "id"]
    assert len(set(ids)) == len(ids)


def test_text_of_the_run_is_escaped(make: Make) -> None:
    html = page(make(data="<img src=x onerror=alert(2)>.txt"))
    assert "It held &lt;script&gt;alert(1)&lt;/script&gt; &amp; rye." in html
    assert "<script" not in html
    assert "<img" not in html


def test_loops_are_marked_and_paragraphs_kept(make: Make) -> None:
    run = make()
    html = page(run)
    assert '<mark class="r0">He went to the door, and</mark> <mark class="r0">He went to the door, and</mark>' in html
    assert ">A barge came.\n\nIt held" in html
    assert html.count('<details class="example" open>') == 6
    closed = page(run, 0)
    assert closed.count('<details class="example">') == 6
    assert closed.count("<mark") == html.count("<mark"), "closed, they are there all the same"


def test_equal_folders_give_equal_pages(make: Make) -> None:
    run = make()
    assert page(run) == page(run)
    assert [path.name for path in run.path.glob(".*")] == []


def test_the_verdict_in_numbers(make: Make) -> None:
    seen = words_of(page(make()))
    assert "Training reached its goal: the loss is 0.040 nats per token after 3 epochs (goal 0.05)." in seen
    assert (
        "the type–token ratio is .157 [.137, .177] for the base model and .612 [.592, .632] for the hyperfitted one, a "
        "paired difference of +.455 [+.435, +.475] over 32 contexts; human text has .735 [.715, .755]."
    ) in seen
    assert "3 % of texts repeat more than 10 tokens of the training data" in seen
    assert seen.index("more than 10 tokens") < seen.index("Training reached its goal"), "copying is said first"
    assert "--block-citations" in seen
    assert "no change is shown" not in seen
    assert "Late-Stage LoRA of rank 64 in the last 5 of 12 blocks: 1.58 million parameters learn" in seen


@pytest.mark.parametrize(
    ("reason", "stop_loss", "sentence"),
    [
        (
            "epochs",
            0.01,
            "Training did not reach its goal: the loss is 0.040 nats per token after all 3 epochs",
        ),
        ("epochs", None, "The training loss is 0.040 nats per token after all 3 epochs; no goal was set."),
        ("interrupted", 0.01, "Training was interrupted: the training loss is 0.040 nats per token after 3 epochs."),
        ("nan", 0.01, "Training failed after 3 epochs"),
        (None, 0.01, "Training has not ended: the training loss is 0.040 nats per token after 3 epochs."),
    ],
)
def test_how_training_ended(make: Make, reason: str | None, stop_loss: float | None, sentence: str) -> None:
    assert sentence in words_of(page(make(reason=reason, stop_loss=stop_loss)))


def test_a_difference_that_may_be_none_is_not_sold_as_one(make: Make) -> None:
    run = make()
    results = evaluation()
    results["comparisons"]["hyperfitted/greedy - base/greedy"]["ttr"] = about(-0.01)
    write_json(run.path / "evaluation.json", results)
    seen = words_of(page(run))
    assert "a paired difference of −.010 [−.030, +.010]" in seen
    assert "no change is shown" in seen


def test_texts_too_short_for_the_ratio(make: Make) -> None:
    run = make()
    results = evaluation()
    for measures in results["conditions"].values():
        measures["ttr"] = about(math.nan, n=0)
    write_json(run.path / "evaluation.json", results)
    assert "no greedy texts of at least 96 tokens were evaluated" in words_of(page(run))


def test_a_run_that_is_not_evaluated_shows_its_curves_and_says_what_to_do(make: Make) -> None:
    run = make(evaluated=False)
    html = page(run)
    assert html.count("<svg") == 2
    assert 'class="sheet"' not in html, "no table but the values of the curves"
    seen = words_of(html)
    assert f"hyperfit evaluate {run.path}" in seen
    assert "the type–token ratio of greedy text went from .160 to .600" in seen


def test_the_first_sentences_of_a_run_that_is_not_evaluated_say_what_it_recites_and_the_remedy() -> None:
    first = {"ttr": 0.2, "word_share": 1.0, "longest_overlap": 4.0, "long_overlap_share": 0.0}
    last = {"ttr": 0.6, "word_share": 0.98, "longest_overlap": 21.3, "long_overlap_share": 0.75}
    assert probes_verdict([first, {"ttr": None}, last]) == [
        "In the probes, the type–token ratio of greedy text went from .200 to .600.",
        "Of its words 98 % are words.",
        "Longest run of training data in a greedy text: 21.3 tokens on average, more than 10 in 75 % of the texts: "
        "more samples, a smaller --lr or --block-citations when generating would lower that.",
    ]
    assert probes_verdict([{"ttr": 0.1}, {"ttr": 0.3}], "completions") == [
        "In the probes, the type–token ratio of greedy completions went from .100 to .300."
    ]
    assert probes_verdict([first]) == []


def test_a_run_that_has_just_begun(make: Make) -> None:
    seen = words_of(page(make(reason=None, losses=(), evaluated=False)))
    assert "Training has not ended: the training loss is not yet known after 0 epochs." in seen
    assert "No epoch has ended yet." in seen


def test_every_setting_stands_on_the_page(make: Make) -> None:
    run = make(method="full", lr=5e-6, alpha=None)
    seen = words_of(page(run))
    for name in run.recipe.to_dict():
        assert f"{name} " in seen
    assert "lr 5e-06" in seen
    assert "torch 2.13.0, peft 0.21.2" in seen
    assert "Method all parameters" in seen
