"""hyperfit prefer score, whole: tables, JSON, the run's evaluation and report, and one message for each mistake."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from hyperfit.cli import main
from hyperfit.prefer.joined import condition_of
from hyperfit.report.tables.evaluations.papers import paper_tables
from made_runs import make_run
from simulated_studies import judgement


def study(path: Path, **more: object) -> Path:
    """Ten contexts by three annotators: hyperfitted is preferred on four, equal on two, worse on four; base on one."""
    rows = []
    for context in range(10):
        choice = "first" if context < 4 else "equal" if context < 6 else "second"
        for judge in "abc":
            rows.append(judgement(judge, context, choice, **more))  # type: ignore[arg-type]
            base = "first" if context < 1 else "second"
            rows.append(judgement(judge, context, base, item=f"base {context}", first="base/greedy", **more))  # type: ignore[arg-type]
    path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    return path


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    return said


def test_tables_and_sentences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    main(["prefer", "score", str(study(tmp_path / "a.jsonl"))])
    shown = capsys.readouterr().out
    for part in (
        "60 judgements of 20 pairs of texts after 10 contexts by 3 annotators",
        "Fleiss' κ 1.00",
        "hyperfitted/greedy − base/greedy",
        "hyperfitted/greedy against human",
        "Preference ",
        "Annotators ",
        "Strength (Bradley–Terry), human = 0",
        "judgements",
    ):
        assert part in shown


def test_the_numbers_are_those_worked_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["prefer", "score", str(study(tmp_path / "a.jsonl")), "--without", "c", "--json"])
    found = json.loads(capsys.readouterr().out)["people"]
    hyperfitted, base = found["pairs"]
    assert (hyperfitted["first"], base["first"]) == ("hyperfitted/greedy", "base/greedy")
    assert hyperfitted["shares"]["preferred_or_equal"]["value"] == pytest.approx(0.6)
    assert base["shares"]["preferred_or_equal"]["value"] == pytest.approx(0.1)
    assert (found["annotators"], found["judgements"]) == (2, 40)
    assert found["compared"][0]["value"] == pytest.approx(0.5)


def test_scores_join_the_run_and_table_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run")
    before = json.loads((run.path / "evaluation.json").read_text())
    assert "preference" not in {measure.key for measure in paper_tables(before)[0].measures}
    main(["prefer", "score", str(study(tmp_path / "a.jsonl")), "--run", str(run.path)])
    capsys.readouterr()
    after = json.loads((run.path / "evaluation.json").read_text())
    block = after["conditions"]["hyperfitted/greedy"].pop("preference")
    after["conditions"]["base/greedy"].pop("preference")
    assert after == before
    assert block["value"] == pytest.approx(0.6)
    assert block["n"] == 30
    assert (block["preferred"]["value"], block["equal"]["value"]) == pytest.approx((0.4, 0.2))
    assert block["by_length"]["128"]["value"] == pytest.approx(0.6)
    page = (run.path / "report.html").read_text()
    assert "Table 1. Preference, diversity and perplexity" in page
    assert "Carlsson et al. 2025, TinyLlama, 256 tokens" in page
    table = (run.path / "tables" / "table1.csv").read_text()
    assert "hyperfitted/greedy,measured,preference,0.6" in table
    assert 'hyperfitted/greedy,"Carlsson et al. 2025, TinyLlama, 256 tokens",preference,0.343' in table


def test_a_model_is_scored_apart_and_beside_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run")
    people = study(tmp_path / "a.jsonl")
    rows = [
        {**asdict(judgement("judge-7b", context, "first" if context < 5 else "second")), "kind": "model"}
        for context in range(10)
    ]
    model = tmp_path / "model.jsonl"
    model.write_text("".join(json.dumps(row) + "\n" for row in rows))
    main(["prefer", "score", str(people), str(model), "--run", str(run.path), "--json"])
    found = json.loads(capsys.readouterr().out)
    agreement = found["models"]["judge-7b"]["agreement_with_people"]
    assert agreement["with_majority"]["value"] == pytest.approx(0.8), "people found two of ten equal"
    assert agreement["decided"]["value"] == 1
    assert agreement["people_with_majority"]["value"] == 1
    conditions = json.loads((run.path / "evaluation.json").read_text())["conditions"]
    assert conditions["hyperfitted/greedy"]["judge_preference"]["judge"] == "judge-7b"
    assert conditions["hyperfitted/greedy"]["judge_preference"]["value"] == pytest.approx(0.5)
    assert "judged by a model, %" in (run.path / "report.html").read_text()
    main(["prefer", "score", str(people), str(model)])
    shown = capsys.readouterr().out
    assert "Judged by judge-7b" in shown
    assert "Chooses what most people chose on 80" in " ".join(shown.split())


def test_conditions_of_several_runs_find_their_run(tmp_path: Path) -> None:
    folder = tmp_path / "one" / "q"
    assert condition_of("hyperfitted/greedy @ q", folder) == "hyperfitted/greedy"
    assert condition_of("hyperfitted/greedy @ one/q", folder) == "hyperfitted/greedy"
    assert condition_of("hyperfitted/greedy @ two/q", folder) == "hyperfitted/greedy @ two/q"
    assert condition_of("hyperfitted/greedy", folder) == "hyperfitted/greedy"


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = study(tmp_path / "a.jsonl")
    assert "FILE is missing" in fails(capsys, "prefer", "score")
    assert "absent.jsonl: no such file" in fails(capsys, "prefer", "score", tmp_path / "absent.jsonl")
    assert "--without zoe" in fails(capsys, "prefer", "score", people, "--without", "zoe")
    assert "is not evaluated" in fails(capsys, "prefer", "score", people, "--run", tmp_path)
    run = make_run(tmp_path / "run")
    before = (run.path / "evaluation.json").read_bytes()
    others = study(tmp_path / "other.jsonl")
    others.write_text(others.read_text().replace("/greedy", "/other"))
    said = fails(capsys, "prefer", "score", others, "--run", run.path)
    assert "none of its conditions" in said
    assert (run.path / "evaluation.json").read_bytes() == before
