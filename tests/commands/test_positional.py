"""RUN or MODEL behind a flag that takes several values: whole command lines, and what they are read as."""

import json
from pathlib import Path
from typing import Any

import pytest

from hyperfit.cli import COMMANDS, main, parse
from hyperfit.commands.interface.positional import flags_of
from hyperfit.errors import UserError
from tiny_models import save_tiny

PROMPT = "the horse went to the river and the river went to the town " * 40
"""Longer than the name of a file can be."""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which runs/x and runs/y are runs."""
    monkeypatch.chdir(tmp_path)
    for name in ("x", "y"):
        Path("runs", name).mkdir(parents=True)
        Path("runs", name, "recipe.json").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("train --data d --method lora --blocks 1 2 m", {"model": "m", "blocks": (1, 2)}),
        ("train --method lora --blocks 1 2 m --data d", {"model": "m", "blocks": (1, 2)}),
        ("train --data d --target-modules q_proj v_proj m", {"model": "m", "target_modules": ("q_proj", "v_proj")}),
        ("train --target_modules q_proj m --data d", {"model": "m", "target_modules": ("q_proj",)}),
        ("generate --prompt a m --seed 3", {"model": "m", "prompt": ("a",)}),
        ("generate --prompt a b m", {"model": "m", "prompt": ("a", "b")}),
        ("evaluate --contexts builtin:news runs/x", {"run_folder": Path("runs/x"), "contexts": ("builtin:news",)}),
        ("evaluate --contexts a runs/new --json", {"run_folder": Path("runs/new"), "contexts": ("a",)}),
        ("evaluate --contexts=a runs/new", {"run_folder": Path("runs/new"), "contexts": ("a",)}),
        ("evaluate --blocked runs/x", {"run_folder": Path("runs/x"), "blocked": ()}),
        (
            "evaluate --contexts a runs/x --decodings greedy beam",
            {"run_folder": Path("runs/x"), "contexts": ("a",), "decodings": ("greedy", "beam")},
        ),
        ("mechanism --studies ranks lens runs/new", {"run_folder": Path("runs/new"), "studies": ("ranks", "lens")}),
        (
            "mechanism --studies placement --depths 5 10 new --again",
            {"run_folder": Path("new"), "studies": ("placement",), "depths": (5, 10)},
        ),
        ("mechanism --alphas -0.5 -1e-3 .1 new", {"run_folder": Path("new"), "alphas": (-0.5, -0.001, 0.1)}),
        ("mechanism --data a b new -o out", {"run_folder": Path("new"), "contexts": ("a", "b"), "output": Path("out")}),
    ],
)
def test_the_positional_behind_a_list(line: str, read: dict[str, Any]) -> None:
    found = vars(parse(line.split()))
    assert {name: found[name] for name in read} == read


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("evaluate runs/x --contexts a runs/y", {"run_folder": Path("runs/x"), "contexts": ("a", "runs/y")}),
        ("evaluate --contexts a b --seed 3 new", {"run_folder": Path("new"), "contexts": ("a", "b")}),
        ("evaluate --contexts a b --json new", {"run_folder": Path("new"), "contexts": ("a", "b")}),
        ("evaluate --contexts a b -- new", {"run_folder": Path("new"), "contexts": ("a", "b")}),
        ("evaluate --texts t.jsonl --contexts a b", {"run_folder": None, "contexts": ("a", "b")}),
        ("evaluate --contexts a", {"run_folder": None, "contexts": ("a",)}),
        ("mechanism --studies ranks lens", {"run_folder": None, "studies": ("ranks", "lens")}),
        ("mechanism --studies placement --depths 5 10", {"run_folder": None, "depths": (5, 10)}),
        ("mechanism --base m --tuned n --contexts a runs/x", {"run_folder": None, "contexts": ("a", "runs/x")}),
    ],
)
def test_what_is_no_positional_stays_where_it_is(line: str, read: dict[str, Any]) -> None:
    found = vars(parse(line.split()))
    assert {name: found[name] for name in read} == read


@pytest.mark.parametrize(
    ("line", "may_be"),
    [
        ("evaluate --contexts a b --decodings greedy beam", "b (behind --contexts) or beam (behind --decodings)"),
        ("evaluate --contexts runs/x --blocked runs/y", "runs/x (behind --contexts) or runs/y (behind --blocked)"),
        ("mechanism --alphas 0 1 one --contexts runs/x", "one (behind --alphas) or runs/x (behind --contexts)"),
    ],
)
def test_what_may_be_either_is_asked_for(line: str, may_be: str) -> None:
    with pytest.raises(UserError) as error:
        parse(line.split())
    assert error.value.problems == (f"RUN is missing, or is it {may_be}? Give it first, before all flags",)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("train --target-modules q --data d", "hyperfit: MODEL is missing; see hyperfit train --help\n"),
        ("generate --seed 3", "hyperfit: MODEL is missing; see hyperfit generate --help\n"),
        (
            "evaluate --nothing a b",
            "hyperfit: --nothing: hyperfit evaluate has no such flag; see hyperfit evaluate --help\n",
        ),
    ],
)
def test_what_is_missing_or_unknown_is_said(line: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    assert capsys.readouterr().err == told


def test_the_flags_are_those_of_the_help() -> None:
    listed = dict(
        line.split(": ", 1) for line in (Path(__file__).parent / "flags.txt").read_text(encoding="utf-8").splitlines()
    )
    for name, command in COMMANDS.items():
        assert {*flags_of(command), "-h", "--help"} == set(listed[name].split())


def test_whole_commands(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list in front of MODEL and of RUN, from training to the page."""
    model = str(save_tiny(here / "model", max_position_embeddings=1024))
    rows = [{"text": f"{number} {' '.join(PROMPT.split()[number:][:60])}"} for number in range(20)]
    (here / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    short = "--length 48 --epochs 1 --rank 4 --probe-texts 2 --method lora --device cpu".split()
    main(["train", "--data", "texts.jsonl", "-o", "run", *short, "--blocks", "4", "5", model])
    assert json.loads(Path("run/recipe.json").read_text())["blocks"] == [4, 5]
    made = [*"--total 110 --context 16 --device cpu --json".split()]
    main(["evaluate", *made, "--decodings", "greedy", "--blocked", "--contexts", "texts.jsonl", "run"])
    assert set(json.loads(Path("run/evaluation.json").read_text())["conditions"]) == {
        "base/greedy",
        "hyperfitted/greedy",
        "human",
    }
    capsys.readouterr()
    main(["generate", "--new-tokens", "3", "--json", "--prompt", PROMPT[:900], "the horse", "run"])
    assert len(capsys.readouterr().out.splitlines()) == 2
    main(["mechanism", "--total", "110", "--context", "14", "--device", "cpu", "--studies", "ranks", "run"])
    assert list(json.loads(Path("run/mechanism.json").read_text())["studies"]) == ["ranks"]


def test_a_value_too_long_for_a_name_is_no_folder() -> None:
    assert parse(["generate", "--prompt", PROMPT, PROMPT, "m"]).prompt == (PROMPT, PROMPT)  # type: ignore[union-attr]
