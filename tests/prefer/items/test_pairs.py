"""What is judged: pairs of the same context, as many of each domain, and gold ones."""

import json
from collections import Counter
from pathlib import Path

import pytest

from hyperfit.errors import UserError
from hyperfit.prefer.items.pairs import SHUFFLED, pairs_of, storable
from hyperfit.prefer.settings import StudySettings
from study_server import made_run


def write_texts(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_each_continuation_against_the_original(tmp_path: Path) -> None:
    pairs = pairs_of([made_run(tmp_path / "run")], StudySettings())
    assert Counter((pair.first, pair.second) for pair in pairs) == {
        ("hyperfitted/greedy", "human"): 10,
        ("hyperfitted/nucleus", "human"): 10,
    }
    assert all("human" in pair.second_text and pair.tokens == 128 for pair in pairs)
    assert len({pair.id for pair in pairs}) == 20
    assert len({pair.context_id for pair in pairs}) == 10


def test_contexts_are_as_many_of_each_domain(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", contexts=21)
    for most in (1, 4, 7):
        pairs = pairs_of([run], StudySettings(contexts=most))
        count = Counter(domain for domain, _ in {(pair.domain, pair.context_id) for pair in pairs})
        assert sum(count.values()) == most
        assert max(count.values()) - min(count.values()) <= 1
    assert pairs_of([run], StudySettings(contexts=5)) == pairs_of([run], StudySettings(contexts=5))
    assert pairs_of([run], StudySettings(contexts=5)) != pairs_of([run], StudySettings(contexts=5, seed=1))


def test_every_two_conditions_of_several_runs(tmp_path: Path) -> None:
    one, other = made_run(tmp_path / "one", 4), made_run(tmp_path / "other", 4)
    file = other / "samples" / "hyperfitted-nucleus.jsonl"
    file.write_text(file.read_text().replace("nucleus, one", "nucleus, an"))
    pairs = pairs_of([one, other], StudySettings(design="pairs"))
    assert Counter((pair.first, pair.second) for pair in pairs) == {
        ("hyperfitted/greedy", "hyperfitted/nucleus @ one"): 4,
        ("hyperfitted/greedy", "hyperfitted/nucleus @ other"): 4,
        ("hyperfitted/nucleus @ one", "hyperfitted/nucleus @ other"): 4,
    }, "greedy texts are the same in both runs, and one condition"


def test_the_same_text_twice_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"context": "A", "continuation": " b", "reference": " c", "model": "x"},
        {"context": "D", "continuation": " e", "reference": " e ", "model": "x"},
    ]
    (pair,) = pairs_of([], StudySettings(texts=write_texts(tmp_path / "texts.jsonl", rows)))
    assert (pair.context, pair.first, pair.second, pair.first_text) == ("A", "x", "human", " b")
    assert pair.tokens > 0
    assert "1 of 2 pairs hold the same text twice" in capsys.readouterr().err


def test_several_texts_of_one_context_each_meet_the_original(tmp_path: Path) -> None:
    rows = [{"context": "A", "continuation": f" {n}", "model": "x", "reference": " c", "source": "s"} for n in range(3)]
    pairs = pairs_of([], StudySettings(texts=write_texts(tmp_path / "texts.jsonl", rows)))
    assert [(pair.first_text, pair.second_text, pair.domain) for pair in pairs] == [
        (f" {n}", " c", "s") for n in range(3)
    ]


def test_gold_items_are_of_other_contexts_as_far_as_there_are(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    pairs = pairs_of([run], StudySettings(contexts=8, gold=3))
    judged = {pair.context_id for pair in pairs if pair.purpose == "study"}
    gold = [pair for pair in pairs if pair.purpose == "gold"]
    assert [pair.context_id in judged for pair in gold] == [False, False, True]
    for pair in gold:
        assert (pair.first, pair.second, pair.expected) == ("human", SHUFFLED, "first")
        assert sorted(pair.first_text.split()) == sorted(pair.second_text.split())
        assert pair.first_text.split() != pair.second_text.split()


@pytest.mark.parametrize("text", ["\x00", "a\ud800b", "plain 日本語 😀"])
def test_every_database_holds_every_text(text: str) -> None:
    kept = storable(text)
    assert "\x00" not in kept
    assert kept.encode()
    assert len(kept) == len(text)
    assert kept == text or "\ufffd" in kept


def test_what_cannot_be_judged_is_told(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    texts = write_texts(tmp_path / "texts.jsonl", [{"context": "A", "continuation": " b", "model": "x"}])
    alone = write_texts(tmp_path / "alone.jsonl", [{"continuation": " b", "model": "x"}])
    for runs, settings, parts in (
        ([tmp_path], StudySettings(), ["RUN", "holds no samples", "hyperfit evaluate"]),
        ([run, run], StudySettings(), ["RUN is given twice"]),
        ([run], StudySettings(conditions=("greedy",)), ["--conditions greedy", "hyperfitted/greedy"]),
        ([run], StudySettings(design="pairs", conditions=("hyperfitted/greedy",)), ["--design pairs", "two or more"]),
        ([run], StudySettings(gold=11), ["--gold 11", "only 10"]),
        ([], StudySettings(texts=texts, gold=1), ["--design p1", "reference", "--gold"]),
        ([], StudySettings(texts=alone), ["--texts", "no line has a context"]),
    ):
        with pytest.raises(UserError) as told:
            pairs_of(runs, settings)
        for part in parts:
            assert part in str(told.value)


def test_settings_that_make_no_study() -> None:
    with pytest.raises(UserError) as told:
        StudySettings(contexts=0, annotators=0, per_annotator=0, gold=-1, questions=("fluency", "fluency"))
    assert len(told.value.problems) == 5
