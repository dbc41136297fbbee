"""Several runs on one page: their names, what differs, the measures beside each other, and what cannot be compared."""

import json
import math
import re
from pathlib import Path

import pytest

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.evaluation.values import save_values
from hyperfit.metrics.estimate import paired_share_difference
from hyperfit.report.pages.compare import beside, checked, comparison, write_comparison
from hyperfit.report.tables.evaluations.paired import gaps, paired_sheets, paired_words, unpaired
from hyperfit.report.tables.evaluations.runs import (
    by_epoch,
    common,
    differences,
    in_words,
    names_of,
    same_contexts,
    sheets,
    strips_beside,
)
from hyperfit.report.texts.samples import Example
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import write_json
from made_runs import about, evaluation, make_run, write_values


@pytest.fixture
def two(tmp_path: Path) -> list[RunDir]:
    """Two runs that differ in their learning rate and in what their hyperfitted model wrote."""
    runs = [make_run(tmp_path / name, lr=lr) for name, lr in (("one", 5e-4), ("other", 1e-3))]
    results = evaluation()
    results["conditions"]["hyperfitted/greedy"]["ttr"] = about(0.5)
    write_json(runs[1].path / "evaluation.json", results)
    return runs


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["/x/one", "/y/other"], ["one", "other"]),
        (["/x/run", "/y/run"], ["x/run", "y/run"]),
        (["/x/run", "/x/run/epochs/005"], ["run", "run/epochs/005"]),
        (["/x/a/epochs/005", "/x/b/epochs/005"], ["a/epochs/005", "b/epochs/005"]),
    ],
)
def test_names_are_the_shortest_ends_that_differ(folders: list[str], names: list[str]) -> None:
    assert names_of([Path(folder) for folder in folders]) == names


def test_only_what_differs_is_told(two: list[RunDir]) -> None:
    assert differences(checked(two)) == [("lr", [5e-4, 1e-3])]
    assert differences(checked([two[0], make_run(two[0].path.parent / "same")])) == []


def test_what_is_the_same_stands_there_once(two: list[RunDir]) -> None:
    rows = {name: measures for _, name, measures in common(checked(two))}
    assert list(rows) == [
        "base/greedy",
        "base/nucleus",
        "one/greedy",
        "other/greedy",
        "one/nucleus",
        "other/nucleus",
        "human",
    ]
    assert (rows["one/greedy"]["ttr"]["value"], rows["other/greedy"]["ttr"]["value"]) == (0.612, 0.5)
    assert rows["one/greedy"]["perplexity"]["value"] == 1412.8
    assert rows["base/greedy"]["perplexity"]["value"] == 127.3

    results = evaluation()
    results["conditions"]["base/greedy"]["ttr"] = about(0.2)
    write_json(two[1].path / "evaluation.json", results)
    names = [name for _, name, _ in common(checked(two))]
    assert names[:3] == ["base of one/greedy", "base of other/greedy", "base/nucleus"]


def test_what_a_bar_or_a_table_shows_alike_stands_there_once_though_other_measures_differ(two: list[RunDir]) -> None:
    results = evaluation()
    results["conditions"]["base/greedy"]["longest_overlap"] = about(9.0)
    write_json(two[1].path / "evaluation.json", results)
    known = checked(two)
    (ttr, _) = strips_beside(known)
    assert [bar.name for bar in ttr.bars] == ["base", "one", "other", "human"]
    diversity, memorisation, *_ = sheets(known)
    assert [row.name for row in diversity.rows if row.name.startswith("base")] == ["base/greedy", "base/nucleus"]
    assert "base of other/greedy" in [row.name for row in memorisation.rows]


def test_tables_have_a_row_a_run_and_condition(two: list[RunDir]) -> None:
    first, second, third = sheets(checked(two))
    assert [row.name for row in first.rows] == [name for _, name, _ in common(checked(two))]
    assert [row.name for row in third.rows] == ["base", "one", "other"]
    assert not any(row.source for sheet in (first, second, third) for row in sheet.rows)


def test_a_run_in_words(two: list[RunDir]) -> None:
    assert in_words(checked(two)[1]) == (
        "type–token ratio .500; perplexity on human text 1,413; 3 % of texts copy more than 10 tokens"
    )


def test_numbers_by_epoch(two: list[RunDir]) -> None:
    two[1].append({"event": "epoch", "epoch": 4, "train_loss": 0.01, "ttr": None})
    known = checked(two)
    assert by_epoch(known, "train_loss") == [(1, [2.1, 2.1]), (2, [0.6, 0.6]), (3, [0.04, 0.04]), (4, [None, 0.01])]
    assert by_epoch(known, "longest_overlap") == []


def test_texts_that_all_runs_have_written_after_a_context() -> None:
    def of(context: str, base: str, tuned: str) -> Example:
        return Example(context, "news", {"Base, greedy": [(base, None)], "Hyperfitted, greedy": [(tuned, None)]})

    found = beside(["x", "y"], [[of("A", "a", "b"), of("B", "a", "b")], [of("C", "a", "b"), of("A", "a", "b")]])
    assert [one.context for one in found] == ["A"]
    assert list(found[0].continuations) == ["Base, greedy", "Hyperfitted, greedy: x", "Hyperfitted, greedy: y"]
    found = beside(["x", "y"], [[of("A", "a", "b")], [of("A", "c", "b")]])
    assert list(found[0].continuations)[:2] == ["Base, greedy: x", "Base, greedy: y"]


def test_other_contexts_are_told(two: list[RunDir]) -> None:
    assert same_contexts(checked(two))
    assert "not evaluated on the same contexts" not in comparison(two, 3)
    results = evaluation()
    results["settings"]["context"] = 64
    write_json(two[1].path / "evaluation.json", results)
    assert not same_contexts(checked(two))
    assert "not evaluated on the same contexts" in comparison(two, 3)


def test_without_values_of_single_texts_nothing_is_paired(two: list[RunDir]) -> None:
    write_values(two[0])
    known = checked(two)
    assert same_contexts(known)
    assert "no values of single texts lie beside the evaluation of other: repeat hyperfit evaluate" in unpaired(known)
    assert paired_sheets(known) == paired_words(known) == []
    assert unpaired(known) in comparison(two, 3)


def test_texts_are_paired_by_their_contexts_in_whatever_order(two: list[RunDir]) -> None:
    for run in two:
        write_values(run)
    known = checked(two)
    assert unpaired(known) == ""
    apart = gaps(known[0], known[1], "greedy")
    assert apart["ttr"].value == pytest.approx(-0.112)
    assert (apart["ttr"].low, apart["ttr"].high) == pytest.approx((-0.112, -0.112)), "each text differs as much"

    file = two[1].path / "evaluation_values.json"
    found = json.loads(file.read_text())
    found["contexts"].reverse()
    for part in ("conditions", "models"):
        for measures in found[part].values():
            for row in measures.values():
                row.reverse()
    file.write_text(json.dumps(found))
    again = gaps(*checked(two), "greedy")
    assert again["ttr"] == apart["ttr"]
    assert again["perplexity_ratio"].value == pytest.approx(1)


def test_paired_differences_by_hand(two: list[RunDir]) -> None:
    for run, loops, loss in zip(
        two, ([1, 1, 1, 0], [0, 0, 1, 0]), ([1.0, 2.0, 3.0, 2.0], [2.0, 3.0, 4.0, 3.0]), strict=True
    ):
        save_values(
            run.path,
            ["a", "b", "c", "d"],
            {"hyperfitted/greedy": {"loop_share": loops, "loop_period": [math.nan] * 4}, "human": {}},
            {"hyperfitted": {"loss": loss}},
        )
    known = checked(two)
    found = gaps(*known, "greedy")
    assert found["loop_share"] == paired_share_difference([0, 0, 1, 0], [1, 1, 1, 0])
    assert found["perplexity_ratio"].value == pytest.approx(math.e)
    names = [sheet.name for sheet in paired_sheets(known)]
    assert names == ["paired-diversity", "paired-sharpness"]
    diversity, sharpness = paired_sheets(known)
    assert [row.name for row in diversity.rows] == ["other/greedy − one/greedy"]
    assert (diversity.columns, diversity.rows[0].cells[0].value) == (["loops, %"], "−50.0")
    assert sharpness.rows[0].cells[0].value == "2.72"
    ((which, words),) = paired_words(known)
    assert which == "other − one, greedy"
    assert words.startswith("texts that end in a loop −50.0 [")
    assert "] points (no difference shown); perplexity on human text × 2.72 [" in words


def test_values_of_another_evaluation_are_not_taken(two: list[RunDir]) -> None:
    for run in two:
        write_values(run)
    assert not unpaired(checked(two))
    results = evaluation()
    results["conditions"]["hyperfitted/greedy"]["ttr"] = about(0.7)
    write_json(two[1].path / "evaluation.json", results)
    assert "evaluation of other" in unpaired(checked(two))
    (two[1].path / "evaluation_values.json").write_text("{")
    assert "evaluation of other" in unpaired(checked(two))


def test_other_texts_are_never_paired(two: list[RunDir]) -> None:
    write_values(two[0])
    write_values(two[1], first="other ")
    known = checked(two)
    assert not same_contexts(known), "though they were chosen alike"
    assert paired_sheets(known) == []
    assert "no paired difference is shown" in comparison(two, 3)


def test_the_page_has_one_panel_a_measure_with_a_curve_a_run(two: list[RunDir], tmp_path: Path) -> None:
    third = make_run(tmp_path / ("a-name-" * 12), losses=(2.0, 0.5))
    html = comparison([*two, third], 3)
    assert html.count("<svg") == 3
    pictures = re.findall("<svg.*?</svg>", html, flags=re.DOTALL)
    for picture in pictures:
        assert "one" in picture
        assert "other" in picture
        assert "run 3: …" in picture
    looks = [line for line in re.findall(r"stroke-dasharray: ?[\d., ]+", pictures[0]) if line]
    assert len(set(looks)) >= 2, "told apart without colour"


def test_the_page_is_one_and_the_same(two: list[RunDir], tmp_path: Path) -> None:
    file = write_comparison(two, tmp_path / "page.html")
    html = file.read_text(encoding="utf-8")
    assert html == comparison(two, 3)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(set(ids)) == len(ids)
    assert "<script" not in html


def test_what_cannot_be_compared_is_refused_with_the_remedy(two: list[RunDir], tmp_path: Path) -> None:
    bare = make_run(tmp_path / "bare", evaluated=False)
    with pytest.raises(UserError) as failure:
        write_comparison([two[0], bare, two[0]], tmp_path / "page.html")
    assert list(failure.value.problems) == [
        f"{two[0].path}: is named twice; name each run once",
        f"{bare.path}: is not evaluated, so there is nothing to compare; first hyperfit evaluate {bare.path}",
    ]
    assert not (tmp_path / "page.html").exists()


def test_the_command(
    two: list[RunDir], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["report", "one", "other"])
    assert capsys.readouterr().out == "comparison.html\n"
    main(["report", "one", "other", "--output", "deep/both.html"])
    assert (tmp_path / "deep" / "both.html").read_text() == (tmp_path / "comparison.html").read_text()
    main(["report", "one", "-o", "one.html"])
    assert "hyperfitted" in (tmp_path / "one.html").read_text()
    assert not (tmp_path / "one" / "report.html").exists()
    for arguments, told in (([], "RUN is missing"), (["one", "-o", "deep"], "is a folder; name a file")):
        with pytest.raises(SystemExit) as end:
            main(["report", *arguments])
        assert end.value.code == 2
        assert told in capsys.readouterr().err


def test_kept_epochs_are_runs(two: list[RunDir]) -> None:
    run = two[0]
    with run.keeping(run.recipe, {"event": "end", "reason": "epochs"}) as folder:
        write_json(folder / "evaluation.json", json.loads((run.path / "evaluation.json").read_text()))
    (kept,) = run.kept.values()
    assert [one.name for one in checked([run, kept])] == ["one", f"one/epochs/{kept.path.name}"]
