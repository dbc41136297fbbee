"""The command line as a user has it: help, flags, whole runs, and one clear message for each mistake."""

import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from functools import partial
from importlib.metadata import PackageNotFoundError
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest

from hyperfit.cli import COMMANDS as CLI
from hyperfit.cli import FAMILIES, main, parse
from hyperfit.commands.demo import Demo, demo_recipe
from hyperfit.commands.generate import Generate
from hyperfit.commands.interface.help import groups
from hyperfit.commands.interface.positional import POSITIONAL, described, long_flag
from hyperfit.commands.train import Train
from hyperfit.image.settings import CompletionSettings
from hyperfit.models.builtin import smollm2
from hyperfit.recipes.presets import PRESETS, tiny, tiny_image
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from tiny_models import save_tiny, tiny_tokenizer

FLAGS = Path(__file__).parent / "flags.txt"
COMMANDS = (
    *("demo", "plan", "train", "evaluate", "generate", "complete", "report", "export", "mechanism", "study"),
    *("judge", "play"),
    *("prefer serve", "prefer invite", "prefer score", "prefer export"),
    *("cache list", "cache clear"),
)
QUICK = [
    "--length",
    "48",
    "--batch-size",
    "8",
    "--epochs",
    "2",
    "--late-blocks",
    "2",
    "--rank",
    "4",
    "--probe-texts",
    "2",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), max_position_embeddings=512)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts_file(folder: Path, count: int = 20) -> Path:
    path = folder / "texts.jsonl"
    words = ["plain", "words", "stand", "here", "in", "a", "row", "and", "nobody", "counts", "them", "twice"]
    rows = [
        {"text": f"{i} " + " ".join(words[(i + k * (i + 1)) % len(words)] for k in range(60))} for i in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must end with status 2 and no traceback; what it says on stderr."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert "Traceback" not in said
    return said


def help_of(*command: str) -> str:
    said = StringIO()
    with patch.dict(os.environ, COLUMNS="80"), redirect_stdout(said), pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    return said.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_breaks_lines_between_words_and_only_where_they_are_full(
    command: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in lines if " " in line.strip() and not line.startswith("usage"))
    indent = " " * 24
    texts = [(one, other) for one, other in itertools.pairwise(lines) if other.startswith(indent) and len(one) > 24]
    for one, other in texts:
        assert len(one) + 1 + len(other.split()[0]) > width or (one.startswith("  -") and one[22:24] != "  "), one


@pytest.mark.parametrize("command", ["plan", "train", "evaluate", "generate", "export", "mechanism", "judge"])
def test_many_flags_come_in_groups_that_hold_each_once(command: str) -> None:
    described_groups = groups(CLI[command])
    assert "other" not in described_groups
    named = [field for fields in described_groups.values() for field in fields]
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(CLI[command]))
    assert len(described_groups) >= 5


def test_the_overview_has_every_command_with_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for name in (*CLI, "prefer", "cache"):
        assert re.search(rf"^  {name} +\w", told, re.MULTILINE)


MISTAKES = [
    ("tran m", ["tran: hyperfit has no such command (did you mean train?)", "demo, plan, train, evaluate"]),
    ("prefer srve", ["srve: hyperfit prefer has no such command (did you mean serve or score?)"]),
    ("prefer invite", ["N is missing"]),
    ("prefer invite many", ["N many: give a whole number"]),
    ("cache lst", ["lst: hyperfit cache has no such command (did you mean list?)"]),
    ("runs/mine", ["runs/mine: hyperfit has no such command; there are demo, plan, train"]),
    ("train m --datta d", ["--datta: hyperfit train has no such flag (did you mean --data?)"]),
    ("train m --data d --epoch 3 --rnak 2", ["--epoch: ", "--epochs?", "--rnak: ", "--rank?"]),
    ("generate m --data d", ["--data: hyperfit generate has no such flag (it is one of hyperfit train)"]),
    ("train m --data d --lr abc", ["--lr abc: give a number, or None"]),
    ("train m --data d --rank 2.5 --clip", ["--rank 2.5: give a whole number", "--clip: its value is missing"]),
    ("train m --data d --method late", ["--method late: give one of late-lora, late-full, lora, full (did you mean"]),
    ("export m --gguf", ["--gguf: its value is missing; give F16 or Q8_0\n"]),
    ("export m --gguf --json", ["--gguf: its value is missing; give F16 or Q8_0\n"]),
    ("export m --gguf q8", ["--gguf q8: give F16 or Q8_0\n"]),
    ("demo --method late", ["--method late: give one of late-lora, late-full, lora, full (did you mean"]),
    (
        "train m --data d --preset foo",
        ["one of carlsson2025, li2026, smollm2, smollm2-late-lora, smollm2-lora, smollm2-full, tiny, tiny-full, tiny"],
    ),
    ("mechanism m --studies lens foo", ["--studies foo: give one of temperature, bias, ranks, geometry, lens"]),
    ("train --lr 1", ["MODEL is missing", "--data is missing"]),
    ("train a b --data d", ["a b: hyperfit train takes one MODEL"]),
    ("demo m", ["m: hyperfit demo takes only flags"]),
    (
        "train m --data d --method full --late-blocks 2 --rank 4",
        ["--late-blocks 2: has no effect", "--rank 4: has no effect with --method full; leave it out or change"],
    ),
    ("train m --data d --method late-full --alpha 4", ["--alpha 4.0: has no effect with --method late-full"]),
    ("train m --data d --rank 64 --method full", ["--rank 64: has no effect with --method full"]),
    (
        "train m --data d --stop-copying 0 --greedy-every 0",
        ["--stop-copying 0.0: has no effect with --greedy-every 0, as it goes by what probes write between epochs"],
    ),
    (
        "train m --data d --stop_copying=.25 --greedy-every=3 --streaming --probe-texts 32",
        ["--stop-copying 0.25: has no effect with --streaming", "--greedy-every 3: has", "--probe-texts 32: has"],
    ),
    ("train m --data d --heldout 0 --heldout-seed 0", ["--heldout-seed 0: has no effect with --heldout 0"]),
    ("train m --data d --heldout 0 --stop auto", ["--stop auto: auto reads what follows held-out texts"]),
    (
        "train m --data d --prefix-cache off --cache-dir c --cache-limit 1GB",
        ["--cache-dir c: has no effect with --prefix-cache off", "--cache-limit 1GB: has"],
    ),
    ("train m --data d --keep-every 5 --epochs 5", ["--keep-every 5: has no effect with --epochs 5"]),
    ("train m --data d --blocks 1", ["--blocks 1: is for --method lora"]),
]


@pytest.mark.parametrize(("line", "parts"), MISTAKES)
def test_mistakes_are_named_and_nothing_else_is(
    line: str, parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = fails(capsys, *line.split())
    for part in parts:
        assert part in said
    assert "class" not in said
    assert "missing" in " ".join(parts) or "missing" not in said, "what is wrong hides what is missing because of it"
    assert all(one.startswith("hyperfit: ") for one in said.splitlines())


@pytest.mark.parametrize(
    "line",
    [
        "--preset tiny --method full",  # the preset's rank and late blocks
        "--preset carlsson2025 --method late-full --stop-copying None --greedy-every 0",
        "--greedy-every 0",
        "--streaming --greedy-every 0 --keep-every 0",
        "--heldout 0 --probe-every 0",
        "--keep-every 4 --epochs 5",
    ],
)
def test_only_what_was_given_and_does_something_can_be_without_effect(line: str) -> None:
    parsed = parse(["train", "m", "--data", "d", *line.split()])
    assert isinstance(parsed, Train)
    assert (parsed.model, parsed.data) == ("m", "d"), "it is taken, and nothing is refused"


TEXT_FLAGS = [
    (name, long_flag(field, extras))
    for name, command in {
        **CLI,
        **{f"{family} {what}": member for family, (_, of) in FAMILIES.items() for what, member in of.items()},
    }.items()
    for field, kind, extras in described(command)
    if POSITIONAL not in extras and re.search(r"\bstr\b|Path", str(kind))
]


@pytest.mark.parametrize(("command", "flag"), TEXT_FLAGS)
@pytest.mark.parametrize("equals", [True, False])
def test_an_empty_text_is_told_by_its_flag(
    command: str, flag: str, equals: bool, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it would have been this folder, or a model without a name."""
    told = fails(capsys, *command.split(), *([f"{flag}="] if equals else [flag, ""]))
    assert told.splitlines() == [told.strip()]
    assert told.startswith(f'hyperfit: {flag} "": is empty; give a text')
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(("command", "argument"), [("train", "MODEL"), ("evaluate", "RUN"), ("play", "RUN")])
def test_an_empty_argument_is_told(command: str, argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--data", "d"] if command == "train" else []
    assert fails(capsys, command, "", *more).startswith(f'hyperfit: {argument} "": is empty; give a text')


def test_every_kind_of_argument_is_read() -> None:
    command = parse(["generate", "--seed=3", "--batch_size", "2", "--prompt", "a", "b", "--", "m"])
    assert command == Generate(model="m", prompt=("a", "b"), seed=3, batch_size=2)
    assert parse(["mechanism", "m", "--alphas", "-0.5", "0", "1e-1"]).alphas == (-0.5, 0.0, 0.1)  # type: ignore[union-attr]
    assert parse(["train", "m", "--data", "d", "--stop-loss", "None"]).stop_loss is None  # type: ignore[union-attr]
    assert parse(["cache", "clear", "one", "two"]).names == ("one", "two")  # type: ignore[union-attr]


def test_threads_that_wait_sleep() -> None:
    """Set before torch is loaded, which reads it once; whoever has set it is left alone."""
    code = """
import os, sys
from hyperfit.cli import main
main(["--version"])
print("torch" in sys.modules, os.environ["OMP_WAIT_POLICY"])
"""
    others = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    for own, policy in (({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        done = subprocess.run(
            [sys.executable, "-c", code], env=others | own, capture_output=True, text=True, check=True
        )
        assert done.stdout.split()[-2:] == ["False", policy]


def test_flags_are_a_promise() -> None:
    """The flags of every command, as committed. A change here is a change for users: say it in CHANGELOG.md.

    To renew: python tests/commands/test_commands.py > tests/commands/flags.txt, with tests/ in PYTHONPATH
    """
    assert flag_list() == FLAGS.read_text()


def flag_list() -> str:
    lines = []
    for command in COMMANDS:
        left = [
            line[: 24 if line[22:24] == "  " or len(line) < 24 else None]
            for line in help_of(*command.split()).splitlines()
        ]
        flags = {
            flag for part in left if part.startswith("  -") for flag in re.findall(r"(?<![\w-])--?[a-z][\w-]*", part)
        }
        lines.append(f"{command}: {' '.join(sorted(flags))}\n")
    return "".join(lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does(command: str) -> None:
    text = help_of(*command.split())
    assert f"hyperfit {command}" in text
    assert len(text.splitlines()) >= 10
    for entry in re.findall(r"^  -.*(?:\n {24}.*)?", text, re.MULTILINE):  # a long flag has its help on the next line
        assert len(entry.split()) > 3, f"a flag without a word of help: {entry}"


def test_a_preset_sets_the_defaults_and_flags_win() -> None:
    command = parse(["train", "m", "--data", "d", "--preset", "carlsson2025", "--lr", "1e-5"])
    assert (command.method, command.samples, command.lr, command.epochs) == ("full", 2000, 1e-5, 20)  # type: ignore[union-attr]
    assert (command.model, command.data) == ("m", "d")  # type: ignore[union-attr]
    equal = parse(["train", "m", "--data", "d", "--preset=carlsson2025", "--lr", "1e-5"])
    assert equal == command


@pytest.mark.parametrize("method", ["late-lora", "late-full", "full"])
def test_train_evaluate_generate_report(
    here: Path, model: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole path on a folder model and a .jsonl, as a user types it."""
    data = texts_file(here)
    unused = {"late-lora": (), "late-full": ("--rank",), "full": ("--rank", "--late-blocks")}[method]
    quick = [part for flag in zip(QUICK[::2], QUICK[1::2], strict=True) if flag[0] not in unused for part in flag]
    main(["train", str(model), "--data", str(data), "-o", "run", "--method", method, *quick])
    said = capsys.readouterr().err
    assert re.search(r"18 of 18 training sequences of 48 tokens, 2 held out", said)
    if method == "late-lora":
        layers = json.loads((here / "run" / "adapter" / "adapter_config.json").read_text())["target_modules"]
        assert layers == sorted(layers), "in an order that does not change from process to process"
    assert re.search(r"learning: blocks (0|4)–5 of 0–5, .* parameters", said)
    assert re.search(r"epoch +2 of at most 2  train \d\.\d+  val \d\.\d+  entropy", said)
    assert "NOT reached" in said
    run = here / "run"
    made = {path.name for path in run.iterdir()}
    assert made == {"recipe.json", "environment.json", "events.jsonl", "adapter" if method == "late-lora" else "model"}

    main(["evaluate", "run", "--total", "140", "--context", "16", "--json"])
    results = json.loads(capsys.readouterr().out)
    assert set(results.pop("tables")) >= {"table1", "table2", "table3"}
    assert results == json.loads((run / "evaluation.json").read_text())
    assert {"table1.csv", "table2.tex", "table3.csv"} <= {path.name for path in (run / "tables").iterdir()}
    conditions = results["conditions"]
    ways = ("greedy", "nucleus", "repetition-penalty")
    plain = {f"{model}/{way}" for model in ("base", "hyperfitted") for way in ways}
    assert set(conditions) == {*plain, "human", "hyperfitted/greedy+blocked"}
    for measures in conditions.values():
        assert set(measures["ttr"]) == {"value", "low", "high", "n"}
        assert measures["ttr"]["n"] == 2
        assert 0 < measures["ttr"]["low"] <= measures["ttr"]["value"] <= measures["ttr"]["high"] <= 1
    assert results["models"]["base"]["top1_agreement_with_base"]["value"] == 1
    difference = results["comparisons"]["hyperfitted/greedy - base/greedy"]["ttr"]["value"]
    assert difference == pytest.approx(
        conditions["hyperfitted/greedy"]["ttr"]["value"] - conditions["base/greedy"]["ttr"]["value"]
    )
    rows = [json.loads(line) for line in (run / "samples" / "hyperfitted-greedy.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    assert {"context", "continuation", "decoding", "seed"} <= set(rows[0])
    assert (run / "report.html").read_text().startswith("<!DOCTYPE html>")

    main(["generate", "run", "--prompt", "plain words", "--new-tokens", "12", "--json"])
    row = json.loads(capsys.readouterr().out)
    assert row["prompt"] == "plain words"
    assert 0 < len(row["continuation"].encode("utf-8", "replace")) <= 12 * 4
    assert row["decoding"] == "greedy"
    main(["generate", "run", "--prompt", "plain words", "--new-tokens", "12", "--json", "--decoding", "top-k:top_k=9"])
    row = json.loads(capsys.readouterr().out)
    assert (row["decoding"], row["top_k"], row["seed"]) == ("top-k:top_k=9", 9, 0)

    main(["report", "run"])
    assert capsys.readouterr().out.strip() == "run/report.html"


def test_decodings_are_named_as_they_are_spelled_shortest(
    here: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["train", str(model), "--data", str(texts_file(here)), "-o", "run", *QUICK])
    capsys.readouterr()
    spelled = ["nucleus:top_p=0.50", "beam", "nucleus:top_p=.5"]
    short = ["--total", "40", "--context", "16", "--json", "--batch-invariant"]
    main(["evaluate", "run", *short, "--decodings", *spelled, "--blocked", "nucleus:top_p=.500"])
    printed = capsys.readouterr()
    assert "one context at a time" in printed.err
    conditions = json.loads(printed.out)["conditions"]
    assert [name for name in conditions if name != "human"] == [
        *(f"{model}/{made}" for model in ("base", "hyperfitted") for made in ("nucleus:top_p=0.5", "beam")),
        "hyperfitted/nucleus:top_p=0.5+blocked",
    ]
    assert {path.stem for path in (here / "run" / "samples").iterdir()} == {
        *(f"{model}-{made}" for model in ("base", "hyperfitted") for made in ("nucleus_top_p=0.5", "beam")),
        "hyperfitted-nucleus_top_p=0.5+blocked",
        "human",
    }
    row = json.loads((here / "run" / "samples" / "base-nucleus_top_p=0.5.jsonl").read_text().splitlines()[0])
    assert (row["decoding"], row["top_p"], row["temperature"]) == ("nucleus:top_p=0.5", 0.5, 0.7)


def test_evaluating_twice_gives_the_same_bytes(here: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", str(model), "--data", str(texts_file(here)), "-o", "run", *QUICK])
    seen = []
    for _ in range(2):
        main(["evaluate", "run", "--total", "120", "--json"])
        files = [
            here / "run" / "evaluation.json",
            here / "run" / "report.html",
            *sorted((here / "run" / "samples").iterdir()),
        ]
        seen.append([path.read_bytes() for path in files])
    assert seen[0] == seen[1]


# Bad input: name, flags, what the message must say. Nothing may be left behind.


def test_bad_data(here: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "empty.txt").write_text("")
    (here / "latin.txt").write_bytes("caf\u00e9".encode("latin-1"))
    (here / "binary.txt").write_bytes(b"ab\0cd")
    (here / "broken.jsonl").write_text('{"text": "one"}\n{"text": \n')
    (here / "columns.jsonl").write_text('{"title": "a", "body": "b"}\n')
    wanted = {
        "absent.txt": "no such file",
        "empty.txt": "empty",
        "latin.txt": "UTF-8",
        "binary.txt": "binary",
        "broken.jsonl": "line 2",
        "columns.jsonl": "title, body",
    }
    for name, part in wanted.items():
        said = fails(capsys, "train", model, "--data", name, "-o", "run", *QUICK)
        assert name in said
        assert part in said
        assert "--" in said
        assert not (here / "run").exists()


def test_too_few_sequences(here: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = fails(capsys, "train", model, "--data", texts_file(here), "--samples", 50, "-o", "run", *QUICK)
    assert re.search(r"gives 18 training sequences of 48 tokens.*50 are needed; give --samples 18", said)


def test_bad_models(here: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = texts_file(here)
    config = json.loads((model / "config.json").read_text())
    for name in ("no-config", "no-weights", "pickle", "unknown", "remote"):
        (here / name).mkdir()
        tiny_tokenizer().save_pretrained(here / name)
    for name in ("no-weights", "pickle"):
        (here / name / "config.json").write_text(json.dumps(config))
    (here / "pickle" / "pytorch_model.bin").write_bytes(b"")
    (here / "unknown" / "config.json").write_text(json.dumps({**config, "model_type": "t5"}))
    remote = {**config, "model_type": "odd", "auto_map": {"AutoConfig": "odd.OddConfig"}}
    (here / "remote" / "config.json").write_text(json.dumps(remote))
    wanted = {
        "no-config": "no config.json",
        "no-weights": "no weights",
        "pickle": "only as pickle",
        "unknown": "no causal language model of type 't5'",
        "remote": "code of its own",
        "./absent": "no such model folder",
        "builtin:huge": "builtin:tiny",
    }
    for name, part in wanted.items():
        said = fails(capsys, "train", name, "--data", data, "-o", "run", *QUICK)
        assert name in said
        assert part in said
        assert not (here / "run").exists()


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["--late-blocks", "0"], ["--late-blocks 0", "1 or more"]),
        (["--late-blocks", "7"], ["--late-blocks 7", "6 blocks"]),
        (["--length", "513"], ["--length 513", "512 positions"]),
        (["--device", "cuda:99"], ["--device cuda:99", "cpu"]),
        (["--device", "meta"], ["--device meta"]),
        (["--lr", "-1", "--rank", "0", "--heldout", "2"], ["--lr -1", "--rank 0", "--heldout 2"]),
        (["--target-modules", "q_proj", "nope"], ["--target-modules nope", "q_proj k_proj"]),
        (["--epochs", "many"], ["--epochs"]),
    ],
)
def test_bad_settings(
    here: Path, model: Path, capsys: pytest.CaptureFixture[str], flags: list[str], parts: list[str]
) -> None:
    said = fails(capsys, "train", model, "--data", texts_file(here), "-o", "run", *QUICK, *flags)  # the last flag wins
    for part in parts:
        assert part in said
    assert not (here / "run").exists()


def test_output_that_holds_something(here: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = texts_file(here)
    (here / "full").mkdir()
    (here / "full" / "note.txt").write_text("mine")
    assert "not an empty folder" in fails(capsys, "train", model, "--data", data, "-o", "full", *QUICK)
    assert [path.name for path in (here / "full").iterdir()] == ["note.txt"]
    main(["train", str(model), "--data", str(data), "-o", "run", *QUICK])
    capsys.readouterr()
    said = fails(capsys, "train", model, "--data", data, "-o", "run", *QUICK)
    assert "holds another run" in said
    assert "--resume" in said
    said = fails(capsys, "train", model, "--data", data, "-o", "run", *QUICK, "--resume", "--seed", 3)
    assert "--seed was 0, is now 3" in said


def test_evaluating_changed_texts_is_refused(here: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With other texts the split would differ, and contexts could be texts that were trained on."""
    data = texts_file(here)
    main(["train", str(model), "--data", str(data), "-o", "run", *QUICK])
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:12]))
    assert "restore them" in fails(capsys, "evaluate", "run", "--total", 100)


def test_contexts_are_never_texts_that_were_trained_on(
    here: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The training file given again as contexts: only its held-out texts are left."""
    data = texts_file(here)
    main(["train", str(model), "--data", str(data), "-o", "run", *QUICK])
    other = here / "other.jsonl"
    begin_alike = [json.loads(line)["text"][:150] + " and then another end" for line in data.read_text().splitlines()]
    other.write_text("".join(json.dumps({"text": text}) + "\n" for text in begin_alike))
    main(["evaluate", "run", "--total", "130", "--context", "20", "--contexts", str(other), str(other), "--json"])
    results = json.loads(capsys.readouterr().out)
    assert results["conditions"]["human"]["ttr"]["n"] == 2, "20 texts, 18 of them trained on; none counted twice"
    assert "--contexts nope.txt" in fails(capsys, "evaluate", "run", "--contexts", "nope.txt")


@pytest.fixture
def short_demo(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo on the embedded model and texts, with a recipe and an evaluation that are over in seconds."""
    import hyperfit.commands.demo as demo

    def short(model: str, data: str) -> Recipe:
        return dataclasses.replace(
            tiny(model, data), samples=4, epochs=1, length=32, probe_texts=2, validation_samples=2
        )

    monkeypatch.setitem(PRESETS, "tiny", short)
    whole = demo.demo_evaluation
    monkeypatch.setattr(
        demo, "demo_evaluation", lambda model: dataclasses.replace(whole(model), most_contexts=3, total=132)
    )


def test_the_demo_from_start_to_report(here: Path, short_demo: None, capsys: pytest.CaptureFixture[str]) -> None:
    main(["demo", "--model", "builtin:tiny"])
    shown, said = capsys.readouterr()
    assert "judged only" not in said, "copying was judged after every epoch"
    for part in (
        "base/",
        "hyperfitted/",
        "nucleus",
        "human",
        "TTR",
        "perplexity",
        "Base, greedy",
        "runs/demo-tiny/report.html",
    ):
        assert part in shown
    page = (here / "runs" / "demo-tiny" / "report.html").read_text()
    assert "builtin:tiny" in page
    for source in ("builtin:fiction", "builtin:news", "builtin:wiki"):
        assert source in page


def test_without_the_package_the_demo_says_how_to_get_it_and_goes_on(
    here: Path, short_demo: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    short = PRESETS["tiny"]
    monkeypatch.setitem(
        PRESETS,
        "tiny",
        lambda model, data: dataclasses.replace(short(model, data), samples=4, epochs=2, greedy_every=0),
    )
    monkeypatch.setattr(smollm2, "distribution", absent)
    monkeypatch.setenv("HYPERFIT_CACHE", str(here / "cache"))
    main(["demo"])
    said = capsys.readouterr().err.splitlines()
    (line,) = [line for line in said if smollm2.PACKAGE in line]
    assert smollm2.GET in line
    assert "going on with builtin:tiny" in line
    assert "copying was judged only at the end of training" in said[-1]
    (ended,) = [line for line in said if "goal (at most" in line]
    assert ended.endswith("copying was judged only here, at the end (--greedy-every 0)")
    assert (here / "runs" / "demo-tiny" / "report.html").is_file()
    assert smollm2.GET in fails(capsys, "demo", "--model", "builtin:smollm2", "-o", "asked-for")
    assert not (here / "asked-for").exists()


def test_the_demo_of_what_is_no_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such built-in model" in fails(capsys, "demo", "--model", "builtin:nothing")
    assert "no such model folder" in fails(capsys, "demo", "--model", "./nowhere")
    assert "give one of late-lora, full" in fails(capsys, "demo", "--model", "builtin:tiny", "--method", "lora")
    assert list(here.iterdir()) == []


def test_the_demo_of_pictures(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole path on the embedded model of pictures and drawn ones: measures, the grid and the page."""
    few = {"samples": 4, "epochs": 1, "probe_texts": 2, "validation_samples": 2}
    monkeypatch.setitem(PRESETS, "tiny-image", lambda model, data: dataclasses.replace(tiny_image(model, data), **few))
    monkeypatch.setattr("hyperfit.commands.demo.CompletionSettings", partial(CompletionSettings, count=3))
    main(["demo", "--modality", "image", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["grid"] == "runs/demo-tiny-image/completions.png"
    run = RunDir.open("runs/demo-tiny-image")
    assert (run.recipe.model, run.recipe.data) == ("builtin:tiny-image", "builtin:shapes")
    assert "builtin:tiny-image" in (run.path / "report.html").read_text("utf-8")
    for modality, model in (("image", "builtin:tiny"), ("text", "builtin:tiny-image")):
        said = fails(capsys, "demo", "--modality", modality, "--model", model, "-o", "no")
        assert f"--modality {modality}: {model} is a model of {'text' if modality == 'image' else 'pictures'}" in said
    assert not (here / "no").exists()


def test_the_demo_of_another_model_takes_the_recipe_of_the_real_one() -> None:
    """Without looks between epochs, for which it has no time; its last line says so."""
    for method, preset in ((None, "smollm2"), ("full", "smollm2-full")):
        own = PRESETS[preset]("some/model", "builtin:fiction")
        assert own.greedy_every == 2
        assert own.stop_copying is not None
        fast = dataclasses.replace(own, greedy_every=0, probe_texts=4)
        assert demo_recipe("some/model", method) == fast  # type: ignore[arg-type]
    assert demo_recipe("builtin:tiny", None) == PRESETS["tiny"]("builtin:tiny", "builtin:fiction")
    assert Demo(model="builtin:tiny").folder("builtin:tiny") == Path("runs/demo-tiny")
    assert Demo(method="full").folder("some/model") == Path("runs/demo-model-full")


def test_bad_evaluation(here: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no run here" in fails(capsys, "evaluate", here / "nothing")
    main(["train", str(model), "--data", str(texts_file(here)), "-o", "run", *QUICK])
    capsys.readouterr()
    said = fails(capsys, "evaluate", "run", "--total", -5, "--decodings", "greedy", "hot", "--seed", -1)
    for part in ("--total -5", "--decodings hot", "--seed -1"):
        assert part in said
    said = fails(capsys, "evaluate", "run", "--total", "9999", "--device", "cuda:99", "--contexts", "nope.txt")
    for part in ("--total 9999", "--device cuda:99", "--contexts nope.txt"):
        assert part in said
    assert not (here / "run" / "evaluation.json").exists()


def test_damaged_runs(here: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", str(model), "--data", str(texts_file(here)), "-o", "run", *QUICK])
    capsys.readouterr()
    run = here / "run"
    for name, text, part in (
        ("environment.json", "[1]", "environment.json"),
        ("events.jsonl", '{"a": 1}\n', "events.jsonl"),
        ("recipe.json", "[]", "recipe.json"),
    ):
        whole = (run / name).read_text()
        (run / name).write_text(text)
        assert part in fails(capsys, "report", "run")
        (run / name).write_text(whole)
    (run / "adapter" / "adapter_model.safetensors").unlink()
    assert "adapter_model.safetensors is missing" in fails(capsys, "generate", "run", "--prompt", "plain words")


def test_bad_generation(here: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = fails(capsys, "generate", model, "--decoding", "hot", "--new-tokens", 0)
    for part in ("--prompt", "--decoding hot", "--new-tokens"):
        assert part in said
    assert "give at most" in fails(capsys, "generate", model, "--prompt", "abc", "--new-tokens", 600)


if __name__ == "__main__":
    print(flag_list(), end="")


TINY_PAIR = ("--base", "builtin:tiny", "--tuned", "builtin:tiny", "--contexts", "builtin:news", "-o", "out")


@pytest.mark.parametrize("name", ["builtin:huge", "./nowhere", "no hub id", "some/model"])
@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        (("train", "NAME", "--data", "builtin:fiction", "-o", "run"), "MODEL"),
        (("generate", "NAME", "--prompt", "Once"), "MODEL"),
        (("demo", "--model", "NAME"), "--model"),
        (("mechanism", *TINY_PAIR[2:], "--base", "NAME"), "--base"),
        (("mechanism", *TINY_PAIR[:2], *TINY_PAIR[4:], "--tuned", "NAME"), "--tuned"),
        (("mechanism", *TINY_PAIR, "--scorer", "NAME"), "--scorer"),
        (("study", "quantity", "--model", "NAME", "-o", "out"), "--model"),
    ],
    ids=["train", "generate", "demo", "base", "tuned", "scorer", "study"],
)
def test_a_model_that_is_not_there_is_told_by_its_argument(
    arguments: tuple[str, ...],
    argument: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    told = fails(capsys, *(name if one == "NAME" else one for one in arguments)).splitlines()
    assert told[0].startswith(f"hyperfit: {argument} {name}: ")
    assert len(told) == 1
    assert not list(tmp_path.iterdir())
