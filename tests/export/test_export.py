"""hyperfit export on small runs: every form from the command line, whole or absent, and no word of this machine."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from hyperfit.cli import main
from hyperfit.errors import pip_install
from hyperfit.export import export as module
from hyperfit.models.files.dequantise import read_gguf
from hyperfit.models.loading import load_model
from hyperfit.models.loading import quiet as without_warnings
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from hyperfit.training.train import train
from small_runs import quiet, recipe_for, write_texts
from tiny_models import save_tiny
from tiny_pieces import SIZE, tiny_pieces
from tiny_tokenizers import tiny_bpe

CPU = torch.device("cpu")
SHORT = ["--context", "8", "--new-tokens", "12", "--device", "cpu"]
FORMS = {
    "merged": [],
    "adapter": ["--form", "adapter"],
    "F16": ["--gguf", "F16"],
    "Q8_0": ["--gguf", "Q8_0"],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of runs of an adapter and of a model trained whole, their base and their texts."""
    folder = tmp_path_factory.mktemp("exported")
    tokenizer = tiny_bpe(begins=True)
    model = save_tiny(folder / "base", vocab_size=len(tokenizer), max_position_embeddings=256)
    tokenizer.save_pretrained(model)
    (model / "README.md").write_text("---\nlicense: mit\n---\n# A base model\n")
    data = write_texts(folder / "texts.jsonl", 24, 0)
    for method, rate in (("late-lora", 2e-2), ("full", 2e-3)):
        recipe = recipe_for((str(model), str(data)), method=method, lr=rate, length=48, epochs=6, heldout=0.3)
        train(recipe, folder / method, notify=quiet)
    return folder


def export(capsys: pytest.CaptureFixture[str], run: Path, folder: Path, *flags: str) -> dict[str, Any]:
    """Export to a folder; what --json says."""
    main(["export", str(run), "-o", str(folder), *SHORT, *flags, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["export", *map(str, arguments)])
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    return said


def adapted(base: Path, adapter: Path) -> Any:
    """The base model with an adapter on it, as PEFT alone loads it."""
    with without_warnings():
        return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter))


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return torch.as_tensor(model(input_ids=torch.arange(2, 20)[None]).logits).float()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["late-lora", "full"])
def test_every_form_writes_as_the_run_does(
    runs: Path, tmp_path: Path, form: str, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if (form, method) == ("adapter", "full"):
        assert "--method full, which makes no adapter" in fails(
            capsys, runs / method, *FORMS[form], "-o", tmp_path / "x"
        )
        return
    said = export(capsys, runs / method, tmp_path / "out", *FORMS[form])
    files = {
        "merged": {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"},
        "adapter": {"adapter_config.json", "adapter_model.safetensors"},
    }.get(form, {f"base-hyperfitted-{form}.gguf"})
    assert files | {"README.md"} == set(said["files"]) - {"tokenizer_config.json"}
    found = said["verification"]
    assert found["contexts"] > 4
    assert found["new_tokens"] == 12
    least = {"merged": 1.0, "adapter": 1.0, "F16": 0.95, "Q8_0": 0.7}[form]
    assert found["same_choices"] >= least * found["contexts"] * 12
    assert (said["address"], said["folder"]) == (None, str(tmp_path / "out"))

    before = logits(load_any(str(runs / method), device=CPU))
    folder = tmp_path / "out"
    if form == "merged":
        after = AutoModelForCausalLM.from_pretrained(folder)
        assert after.dtype == torch.float32, "the type of the base"
    elif form == "adapter":
        after = adapted(runs / "base", folder)
    else:
        after, _ = read_gguf(folder / f"base-hyperfitted-{form}.gguf")
    difference = (logits(after) - before).abs().max()
    assert difference < {"merged": 1e-4, "adapter": 1e-5, "F16": 0.1, "Q8_0": 3}[form]
    assert not torch.allclose(before, logits(load_model(str(runs / "base"), device=CPU, dtype=torch.float32)), atol=0.1)


@pytest.mark.parametrize("form", FORMS)
def test_no_folder_of_this_machine_is_in_any_file(
    runs: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    export(capsys, runs / "late-lora", tmp_path / "out", *FORMS[form])
    here = [str(runs), str(tmp_path), str(Path.home()), str(Path.cwd()), str(Path(module.__file__).parents[3])]
    for file in (tmp_path / "out").rglob("*"):
        content = file.read_bytes()
        assert not [path for path in here if len(path) > 1 and path.encode() in content], file
        assert b"/tmp" not in content, file


def test_a_run_of_another_machine_tells_none_of_its_folders(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recipe that names files by paths that are not here: what is written says their last parts."""
    from hyperfit.runs.card import public_name

    names = {
        "/home/someone/models/llama": "llama",
        "../models/llama": "llama",
        "~/llama": "llama",
        "C:\\models\\llama": "llama",
        "data/of/mine.jsonl": "mine.jsonl",
        "org/model": "org/model",
        "org/texts:config:train": "org/texts:config:train",
        "builtin:tiny": "builtin:tiny",
    }
    assert {name: public_name(name) for name in names} == names


@pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp32"])
def test_weights_are_merged_before_they_are_rounded(
    runs: Path, tmp_path: Path, dtype: str, capsys: pytest.CaptureFixture[str]
) -> None:
    export(capsys, runs / "late-lora", tmp_path / "out", "--dtype", dtype)
    merged = load_any(str(runs / "late-lora"), device=CPU).merge_and_unload()  # type: ignore[operator]
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[dtype]
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(stored[name], values.to(kind)) for name, values in merged.state_dict().items())
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").dtype == kind


@pytest.mark.parametrize("form", ["merged", "adapter", "F16"])
def test_strength_scales_what_training_changed(
    runs: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    export(capsys, runs / "late-lora", tmp_path / "out", *FORMS[form], "--strength", "0.5")
    wanted = logits(load_any(str(runs / "late-lora"), device=CPU, strength=0.5))
    folder = tmp_path / "out"
    if form == "merged":
        after = AutoModelForCausalLM.from_pretrained(folder)
    elif form == "adapter":
        after = adapted(runs / "base", folder)
    else:
        after, _ = read_gguf(folder / "base-hyperfitted-F16.gguf")
    assert (logits(after) - wanted).abs().max() < (0.1 if form == "F16" else 1e-4)
    assert (wanted - logits(load_any(str(runs / "late-lora"), device=CPU))).abs().max() > 0.3
    assert "times 0.5" in (folder / "README.md").read_text()


def test_merged_weights_are_used_as_the_card_says(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It decodes greedily by itself, and its tokenizer comes with it."""
    export(capsys, runs / "late-lora", tmp_path / "out")
    write = pipeline("text-generation", str(tmp_path / "out"), device="cpu")
    written = write("The harbour", max_new_tokens=8, return_full_text=False)[0]["generated_text"]
    main(
        [
            "generate",
            str(runs / "late-lora"),
            "--prompt",
            "The harbour",
            "--new-tokens",
            "8",
            "--json",
            "--device",
            "cpu",
        ]
    )
    assert written == json.loads(capsys.readouterr().out)["continuation"]
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("The harbour")["input_ids"][0] == 0


def test_the_terminal_shows_where_texts_first_differ(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(
        ["export", str(runs / "late-lora"), "-o", str(tmp_path / "out"), *SHORT, "--gguf", "Q8_0", "--new-tokens", "40"]
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "Loaded again, it continued" in said
    assert f"base-hyperfitted, GGUF file (Q8_0): {tmp_path / 'out'} (" in said
    if "First differences" in said:
        assert "context token before after nats to the second rank before" in said


def test_a_tokenizer_of_pieces_goes_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_tiny(tmp_path / "base", vocab_size=SIZE, max_position_embeddings=256)
    tiny_pieces().save_pretrained(model)
    data = write_texts(tmp_path / "texts.jsonl", 20, 0)
    train(recipe_for((str(model), str(data)), length=48, heldout=0.3), tmp_path / "run", notify=quiet)
    said = export(capsys, tmp_path / "run", tmp_path / "out", "--gguf", "F16")
    assert said["verification"]["same_texts"] >= said["verification"]["contexts"] - 1


def test_a_kept_epoch_is_exported_too(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_for((str(runs / "base"), str(runs / "texts.jsonl")), length=48, heldout=0.3, keep_every=1, epochs=2)
    train(recipe, tmp_path / "run", notify=quiet)
    main(["export", str(tmp_path / "run" / "epochs" / "001"), *SHORT, "--dtype", "bf16"])
    assert (tmp_path / "run" / "epochs" / "001" / "export" / "merged-bf16" / "model.safetensors").is_file()


# Whole or absent


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nothing may be left."""
    yield tmp_path / "here"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("step", ["write_form", "read_back", "compare", "export_card"])
def test_whatever_fails_nothing_is_left(runs: Path, folders: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, step, fail)
    with pytest.raises(SystemExit) as ended:
        main(["export", str(runs / "late-lora"), "-o", str(folders / "out"), *SHORT])
    assert ended.value.code == 130


def test_another_model_than_the_run_is_not_kept(
    runs: Path, folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Merged weights that are not the run's: its base with another seed in their place."""
    from tiny_models import tiny_model

    other = tiny_model(seed=5, vocab_size=300, max_position_embeddings=256)
    monkeypatch.setattr(module, "read_back", lambda *arguments: other)
    said = fails(capsys, runs / "late-lora", "-o", folders / "out", *SHORT)
    assert "it is another model than the run's; nothing was kept" in said


def test_a_folder_that_holds_something_is_left_alone(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.txt").write_text("mine")
    said = fails(capsys, runs / "late-lora", "-o", tmp_path, *SHORT)
    assert f"--output {tmp_path}: is not an empty folder" in said
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_all_problems_are_told_at_once(runs: Path, folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = fails(
        capsys, runs / "full", "-o", folders / "out", "--form", "adapter", "--device", "cuda:99", "--new-tokens", 999
    )
    for part in ("--form adapter: ", "--device cuda:99", "--new-tokens 999: with a --context of 32"):
        assert part in said
    said = fails(
        capsys,
        *(runs / "late-lora", "--strength", 11, "--most-contexts", 0, "--push", "here", "--license", "My Own"),
        *("--gguf", "F16", "--dtype", "bf16", "--name", "../x", "--base-model", "/models/llama", "--text-column", "a"),
    )
    for part in (
        "--strength 11: give a number above 0, at most 10",
        "--most-contexts 0: give 1 or more",
        "--push here: give a hub id",
        "--license My Own: ",
        "--dtype bf16: is for merged weights",
        "--name ../x: ",
        "--base-model /models/llama: give a hub id",
        "--text-column: ",
    ):
        assert part in said
    assert "leave out --form adapter, or --gguf" in fails(
        capsys, runs / "full", "--form", "adapter", "--gguf", "F16", "--public"
    )


def test_texts_that_are_too_short_are_told_in_flags_that_there_are(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--context", 32, "--new-tokens", 200)
    said = " ".join(fails(capsys, runs / "late-lora", "-o", tmp_path / "out", *flags).split())
    assert "--new-tokens 200: " in said
    assert "give a smaller --new-tokens or other texts with --contexts" in said
    assert "--total" not in said
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_written_as_gguf_says_why(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for family, part in (("gpt2", "is of type 'gpt2'"), ("llama", "merges nothing")):
        model = save_tiny(tmp_path / family, family)
        recipe = recipe_for((str(model), str(runs / "texts.jsonl")), epochs=1, heldout=0.3)
        train(recipe, tmp_path / f"run-{family}", notify=quiet)
        said = fails(capsys, tmp_path / f"run-{family}", "--gguf", "F16", *SHORT)
        assert said.startswith(f"hyperfit: --gguf F16: {model}")
        assert part in said
    from hyperfit.export import checks

    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    said = fails(capsys, runs / "late-lora", "--gguf", "F16", *SHORT, "-o", tmp_path / "out")
    assert pip_install("gguf") in said
    assert not (tmp_path / "out").exists()


def test_a_base_that_has_changed_is_refused(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(runs / "base", tmp_path / "base")
    recipe = recipe_for((str(tmp_path / "base"), str(runs / "texts.jsonl")), epochs=1, heldout=0.3)
    train(recipe, tmp_path / "run", notify=quiet)
    save_tiny(tmp_path / "base", vocab_size=300, max_position_embeddings=256, seed=3)
    said = fails(capsys, tmp_path / "run", *SHORT)
    assert "its weights are not those that" in said
    assert not (RunDir(tmp_path / "run").path / "export").exists()
