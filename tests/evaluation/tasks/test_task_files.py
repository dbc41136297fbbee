"""YAML files of tasks that are broken, and names that are misspelt: one message each, with the place and the remedy."""

import json
from pathlib import Path
from typing import Any

import pytest

from hyperfit.errors import UserError
from hyperfit.evaluation.settings import CONTINUATION
from hyperfit.evaluation.tasks.named import load_harness
from small_tasks import CHOICE, READ, write_tasks

pytest.importorskip("lm_eval", reason="lm-eval is not installed")
pytestmark = pytest.mark.usefixtures("few_own")


def refused(*names: str, folder: Path) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        load_harness(names, None, folder)
    return caught.value.problems


BROKEN: dict[str, tuple[bytes, str]] = {
    "open": (
        b"task: a\noutput_type: [multiple_choice\ndoc_to_text: x\n",
        "cannot be read as a task (line 3: did not find expected ',' or ']'); correct it there",
    ),
    "tab": (
        b"task: a\n\toutput_type: b\n",
        "cannot be read as a task (line 2: found a tab character that violates indentation); correct it there",
    ),
    "tag": (
        b"task: a\ndoc_to_text: !nonsense x\n",
        "cannot be read as a task (line 2: could not determine a constructor for the tag '!nonsense'); "
        "correct it there",
    ),
    "empty": (
        b"",
        "cannot be read as a task (it does not hold keys with values, such as task: NAME); correct it there",
    ),
    "latin": (
        "task: é\n".encode("latin-1"),
        "cannot be read as a task (it is no text in UTF-8: incomplete UTF-8 octet sequence); correct it there",
    ),
    "bell": (
        b"task: a\ndescription: x\x07y\n",
        "cannot be read as a task (it holds a character that YAML has not: control characters are not allowed); "
        "correct it there",
    ),
    "included": (
        b"include: gone.yaml\ntask: a\n",
        "cannot be read as a task ({folder}/gone.yaml: No such file or directory); put that file there, or correct "
        "what names it",
    ),
    "circle": (
        b"include: circle.yaml\ntask: a\n",
        "cannot be read as a task (Include cycle at {folder}/circle.yaml); correct it there",
    ),
    "neither": (
        b"output_type: multiple_choice\n",
        "has neither task: NAME nor group: NAME; write one of them into it",
    ),
    "list": (
        b"task: [a, b]\n",
        "its task is ['a', 'b'], and that is no name; write task: NAME, or group: NAME with a list of tasks",
    ),
    "examples": (
        b"task: a\noutput_type: multiple_choice\n",
        "names no examples; write dataset_path: NAME, of a data set or of its format (json)",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_told_with_its_place_and_the_remedy(kind: str, tmp_path: Path) -> None:
    content, told = BROKEN[kind]
    file = tmp_path / f"{kind}.yaml"
    file.write_bytes(content)
    assert refused(str(file), folder=tmp_path) == (f"--tasks {file}: {told.format(folder=tmp_path)}",)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"docs_to_text": "x"}, "; docs_to_text is no key of a task's file (did you mean doc_to_text?)"),
        ({"test_split": "tset"}, "; the file names a split, a metric or an aggregation that there is not; correct it"),
        ({"metric_list": [{"metric": "accu"}]}, "; the file names a split, a metric or an aggregation that there is"),
        ({"output_type": "choice"}, "; correct that in the file"),
    ],
    ids=["key", "split", "metric", "kind"],
)
def test_what_lm_eval_itself_refuses_has_a_remedy(change: dict[str, Any], remedy: str, tmp_path: Path) -> None:
    file = write_tasks(tmp_path / "t", {**CHOICE, **change}) / "next_word.yaml"
    (told,) = refused(str(file), folder=tmp_path)
    assert told.startswith(f"--tasks {file}: lm-eval cannot load it (")
    assert remedy in told


def test_a_broken_file_of_a_folder_is_not_passed_over(tmp_path: Path) -> None:
    """lm-eval says nothing of it, and measures the others."""
    folder = write_tasks(tmp_path / "t", CHOICE, READ)
    (folder / "more").mkdir()
    (folder / "more" / "bad.yaml").write_text("task: a\n  b: c: d\n")
    (folder / "worse.yaml").write_text("- a list\n")
    one, two = refused(str(folder), folder=tmp_path)
    assert one == (
        f"--tasks {folder}: {folder}/more/bad.yaml: cannot be read as a task (line 2: mapping values are not allowed "
        "in this context); correct it there"
    )
    assert two.startswith(f"--tasks {folder}: {folder}/worse.yaml: cannot be read as a task (")
    (folder / "more" / "bad.yaml").write_text("output_type: multiple_choice\n")
    (folder / "worse.yaml").unlink()
    assert len(load_harness([str(folder)], None, tmp_path).tasks) == 2, "what tasks include need be no task"


def group(folder: Path, members: Any, name: Any = "both") -> str:
    file = folder / "group.yaml"
    file.write_text(json.dumps({"group": name, "task": members}))
    return str(file)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (
            ["next_word", "raed", {"task": "nowhere at all", "num_fewshot": 1}],
            (
                "the group both lists raed, which no .yaml file of its folder defines (did you mean read?); correct "
                "the name, or take it out; tasks of lm-eval are given to --tasks by themselves",
                "the group both lists nowhere at all, which no .yaml file of its folder defines; correct the name, or "
                "take it out; tasks of lm-eval are given to --tasks by themselves",
            ),
        ),
        (["next_word", 3], ("the group both lists 3, and that names no task; write the task's name",)),
        ("next_word", ("the group both has no list of tasks; write task: [NAME, NAME]",)),
        (None, ("the group both has no list of tasks; write task: [NAME, NAME]",)),
        (
            [{"group": "inner", "task": ["raed"]}],
            (
                "the group inner lists raed, which no .yaml file of its folder defines (did you mean read?); correct "
                "the name, or take it out; tasks of lm-eval are given to --tasks by themselves",
            ),
        ),
    ],
    ids=["unknown", "number", "word", "none", "inner"],
)
def test_a_group_of_what_is_not_there_is_told(members: Any, told: tuple[str, ...], tmp_path: Path) -> None:
    file = group(write_tasks(tmp_path / "t", CHOICE, READ), members)
    assert refused(file, folder=tmp_path) == tuple(f"--tasks {file}: {one}" for one in told)


def test_a_group_that_is_part_of_itself_is_told(tmp_path: Path) -> None:
    folder = write_tasks(tmp_path / "t", CHOICE)
    (folder / "other.yaml").write_text(json.dumps({"group": "other", "task": ["both"]}))
    file = group(folder, ["next_word", "other"])
    (told,) = refused(file, folder=tmp_path)
    assert told.startswith(
        f"--tasks {file}: {folder}/other.yaml: {folder}/group.yaml: the group both is part of itself;"
    )
    file = group(folder, ["next_word"], ["both"])
    assert refused(file, folder=tmp_path) == (
        f"--tasks {file}: its group is ['both'], and that is no name; write group: NAME",
    )


def test_a_group_may_give_its_tasks_the_data(tmp_path: Path) -> None:
    """What stands beside its list goes for all that it lists."""
    folder = write_tasks(tmp_path / "t", CHOICE)
    known = json.loads((folder / "next_word.yaml").read_text())
    del known["task"]
    (folder / "group.yaml").write_text(json.dumps({**known, "group": "both", "task": ["first", {"task": "second"}]}))
    found = load_harness([str(folder / "group.yaml")], None, tmp_path).tasks
    assert [one.name for one in found] == ["both::first", "both::second"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("./builtin:continuation", f"did you mean {CONTINUATION}?"),
        ("continuation", f"did you mean {CONTINUATION}?"),
        ("builtin:tiny", f"did you mean {CONTINUATION}?"),
        ("NEXT-WORD", "did you mean next_word?"),
        ("./nxt_word", "did you mean next_word?"),
        ("next_word.yaml", "did you mean next_word?"),
        ("next_word,mmlu_law", "names stand apart by spaces: --tasks next_word mmlu_law"),
        ("{folder}/t/next_wrod.yaml", "did you mean {folder}/t/next_word.yaml?"),
        ("{folder}/t/read", "did you mean {folder}/t/read.yaml?"),
        ("{folder}/T", "did you mean {folder}/t?"),
        ("{folder}/nowhere/next_word.yaml", "lm_eval ls tasks lists those of lm-eval"),
        ("something else", "lm_eval ls tasks lists those of lm-eval"),
    ],
)
def test_what_was_perhaps_meant(name: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_tasks(tmp_path / "t", CHOICE, READ)
    name, meant = (one.format(folder=tmp_path) for one in (name, meant))
    assert refused(name, folder=tmp_path) == (
        f"--tasks {name}: neither a task of lm-eval, nor a YAML file or folder here; {meant}",
    )
