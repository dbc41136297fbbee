"""The task made of embedded texts: real continuations, nothing that is trained on, and nothing in the choices alone."""

import json
from collections import Counter, defaultdict
from pathlib import Path

from hyperfit.data.builtin import TEXTS, text_source
from hyperfit.evaluation.tasks.continuation import CHOICES, CONTEXT_WORDS, NEXT_WORDS, examples, write_continuation


def words_of(part: str) -> list[str]:
    folders = [Path(text_source(f"builtin:{kind}")) / part for kind in TEXTS]
    return [" ".join(file.read_text().split()) for folder in folders for file in sorted(folder.glob("*.txt"))]


def test_the_answer_is_how_a_held_out_text_goes_on_and_no_other_choice_is() -> None:
    heldout, trained = words_of("heldout"), words_of("train")
    for one in examples():
        joined = [f"{one['context']} {choice}" for choice in one["choices"]]
        there = [any(text in whole for whole in heldout) for text in joined]
        assert there == [place == one["answer"] for place in range(CHOICES)]
        assert not any(joined[one["answer"]] in whole for whole in trained)
        assert len(one["context"].split()) == CONTEXT_WORDS
        assert {len(choice.split()) for choice in one["choices"]} == {NEXT_WORDS}


def test_choices_alone_give_a_quarter_whatever_is_preferred() -> None:
    found = examples()
    by_choices = defaultdict(list)
    for one in found:
        by_choices[tuple(sorted(one["choices"]))].append(one["choices"][one["answer"]])
    assert len(found) == CHOICES * len(by_choices)
    assert all(sorted(answers) == list(choices) for choices, answers in by_choices.items())
    assert Counter(one["answer"] for one in found) == dict.fromkeys(range(CHOICES), len(found) // CHOICES)


def test_a_limit_leaves_all_kinds_and_different_texts() -> None:
    heldout = words_of("heldout")
    kinds = len(heldout) // len(TEXTS)

    def source(context: str) -> int:
        return next(number for number, whole in enumerate(heldout) if context in whole)

    first = [source(one["context"]) for one in examples()[:24]]
    assert len(set(first)) == 24
    assert Counter(number // kinds for number in first) == dict.fromkeys(range(len(TEXTS)), 8)


def test_it_is_written_once(tmp_path: Path) -> None:
    task = write_continuation(tmp_path / "task")
    before = {file: file.stat().st_mtime_ns for file in task.parent.iterdir()}
    assert write_continuation(tmp_path / "task") == task
    assert {file: file.stat().st_mtime_ns for file in task.parent.iterdir()} == before
    (data,) = json.loads(task.read_text())["dataset_kwargs"]["data_files"].values()
    assert [json.loads(line) for line in Path(data).read_text().splitlines()] == examples()
    (task.parent / "continuation.jsonl").write_text("damaged")
    write_continuation(tmp_path / "task")
    assert [json.loads(line) for line in Path(data).read_text().splitlines()] == examples()
