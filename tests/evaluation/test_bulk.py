"""Texts in bulk by a stand-in for vLLM: those of transformers, from one engine at a time; and every refusal."""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from hyperfit.cli import main
from hyperfit.errors import UserError, pip_install
from hyperfit.evaluation.evaluate import evaluate
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.generation.vllm.checks import check_machine, check_model
from hyperfit.models.loading import load_config, load_model, load_tokenizer
from hyperfit.models.structure.ends import end_tokens, end_tokens_of
from hyperfit.runs.directory import RunDir
from small_evaluations import CONTEXT, TOTAL, settings_for
from stand_in_vllm import LLM, VERSION, install
from tiny_images import save_tiny_image
from tiny_models import save_tiny
from tiny_quantized import save_4bit

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def others(folder: Path) -> str:
    """Texts to continue; a copied run does not lie beside them."""
    return str(folder / "others.jsonl")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[LLM]:
    return install(monkeypatch)


def lines(run: RunDir, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.path / "samples" / f"{name}.jsonl").read_text().splitlines()]


def values(found: Any, path: str = "") -> dict[str, Any]:
    """Everything that an evaluation holds, by its path; without what says who wrote, and how many at once."""
    if isinstance(found, dict):
        pairs = [(name, one) for name, one in found.items() if name not in ("backend", "written_by", "largest_batches")]
    elif isinstance(found, list):
        pairs = list(enumerate(found))
    else:
        return {path: found}
    return {key: value for name, one in pairs for key, value in values(one, f"{path}/{name}").items()}


# What is written, and by whom


def test_both_backends_write_and_measure_the_same(
    run: RunDir, engine: type[LLM], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"decodings": ("greedy", "repetition-penalty", "no-repeat-ngram")}
    ours = evaluate(run, settings_for(run, **settings))
    texts = {file.stem: lines(run, file.stem) for file in (run.path / "samples").glob("*.jsonl")}
    theirs = evaluate(run, settings_for(run, **settings, backend="vllm"))

    one, other = values(ours), values(theirs)
    assert one.keys() == other.keys()
    own = [key for key in one if "/own/" in key]  # read again, and not while it was written
    assert [other[key] for key in own] == pytest.approx([one[key] for key in own], rel=1e-3)
    assert {key: other[key] for key in one if key not in own} == {key: one[key] for key in one if key not in own}
    for name, rows in texts.items():
        again = [{key: value for key, value in row.items() if key != "written_by"} for row in lines(run, name)]
        assert again == rows, name

    bulk = {f"{model}/{way}" for model in ("base", "hyperfitted") for way in ("greedy", "repetition-penalty")}
    transformers = f"transformers {version('transformers')}"
    written_by = theirs["settings"]["written_by"]
    assert {name for name, by in written_by.items() if by == f"vllm {VERSION}"} == bulk
    rest = {"base/no-repeat-ngram", "hyperfitted/no-repeat-ngram", "hyperfitted/greedy+blocked"}
    assert {name for name, by in written_by.items() if by == transformers} == rest
    assert theirs["settings"]["largest_batches"].keys() == rest
    assert {*ours["settings"]["written_by"].values()} == {transformers}
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "transformers writes these" in line]
    assert {*said.removeprefix("vLLM does not do the same for ").partition(":")[0].split(", ")} == rest
    for name, by in {"base-greedy": f"vllm {VERSION}", "base-no-repeat-ngram": transformers, "human": None}.items():
        assert {row.get("written_by") for row in lines(run, name)} == {by}


def test_one_engine_for_an_adapter_and_two_in_turn_for_a_whole_model(run: RunDir, engine: type[LLM]) -> None:
    evaluate(run, settings_for(run, blocked=(), backend="vllm", batch_size=4))
    same = {"dtype": "float32", "max_model_len": TOTAL, "max_num_seqs": 4}
    if run.recipe.adapters:
        assert engine.made == [{"model": run.recipe.model, **same, "enable_lora": True, "max_lora_rank": 8}]
    else:
        plain = {**same, "enable_lora": False, "max_lora_rank": 16}
        assert engine.made == [{"model": run.recipe.model, **plain}, {"model": str(run.path / "model"), **plain}]
    assert all(one() is None for one in engine.there), "the last one is gone, too"


def test_the_ends_of_a_text_are_those_of_the_loaded_model(tmp_path: Path) -> None:
    for family in ("llama", "gpt2"):
        folder = save_tiny(tmp_path / family, family)
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 3]}))
        for _ in ("with a generation_config.json", "without"):
            tokenizer = load_tokenizer(str(folder))
            model = load_model(str(folder), device=CPU, dtype=torch.float32)
            assert end_tokens_of(str(folder), tokenizer) == end_tokens(model, tokenizer)
            (folder / "generation_config.json").unlink(missing_ok=True)


# What is refused


def test_without_the_package_one_message_and_exit_2(
    adapted: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.setattr("hyperfit.generation.vllm.checks.DEVICES", ("cpu",))
    monkeypatch.setattr("hyperfit.generation.vllm.checks.ADAPTED_IN", ("fp32",))
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(adapted.path), "--total", "44", "--context", "16", "--backend", "vllm"])
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("--backend vllm: vLLM is not installed, or cannot be imported") == 1
    assert f"{pip_install('vllm')}, or leave --backend out" in said
    assert not (adapted.path / "evaluation.json").exists()


def test_no_gpu_and_no_package_are_said_together(adapted: RunDir, others: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError) as error:
        evaluate(adapted, settings_for(adapted, contexts=(others,), backend="vllm", total=10**6))
    one, other, total, *_ = error.value.problems
    assert one.startswith("--backend vllm: writes on a CUDA GPU, and --device cpu is cpu here; give --device cuda")
    assert "vLLM is not installed" in other
    assert total.startswith("--total 1000000")


def test_another_gpu_than_the_first(engine: type[LLM], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperfit.generation.vllm.checks.DEVICES", ("cuda",))
    check_machine(CUDA, "cuda")
    check_machine(torch.device("cuda:0"), "cuda:0")
    with pytest.raises(UserError, match=r"^--device cuda:1: .* set CUDA_VISIBLE_DEVICES=1 and give --device cuda, or"):
        check_machine(torch.device("cuda:1"), "cuda:1")


def test_adapters_that_vllm_does_not_compute_as_they_are(adapted: RunDir) -> None:
    config = load_config(adapted.recipe.model)
    check_model(adapted, config, CUDA, "bf16")
    with pytest.raises(
        UserError, match="computes adapters in 16 bits, and --precision is fp32 here; give --precision bf"
    ):
        check_model(adapted, config, CUDA, "fp32")
    for file, changes in (
        ("recipe.json", {"rank": 513}),
        ("adapter/adapter_config.json", {"target_parameters": ["w"]}),
    ):
        path = adapted.path / file
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError) as error:
        check_model(adapted, config, CUDA, "bf16")
    assert [problem.rpartition("; ")[2] for problem in error.value.problems] == ["leave --backend out"] * 2
    assert "up to rank 512, and this run's have 513" in error.value.problems[0]
    assert "experts that are held as one tensor" in error.value.problems[1]


def test_a_whole_model_in_fp32_is_taken(folder: Path) -> None:
    run = RunDir.open(folder / "full")
    check_model(run, load_config(run.recipe.model), CUDA, "fp32")


def test_quantized_bases(adapted: RunDir, others: str, engine: type[LLM], tmp_path: Path) -> None:
    recipe = json.loads((adapted.path / "recipe.json").read_text())
    recipe["model"] = str(save_4bit(Path(recipe["model"]), tmp_path / "4bit"))
    (adapted.path / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(UserError, match=f"--backend vllm: the weights of {recipe['model']} are quantized, .* leave"):
        evaluate(adapted, settings_for(adapted, contexts=(others,), backend="vllm"))


def test_models_of_pictures(adapted: RunDir, others: str, engine: type[LLM], tmp_path: Path) -> None:
    recipe = json.loads((adapted.path / "recipe.json").read_text())
    recipe["model"] = str(save_tiny_image(tmp_path / "pictures"))
    (adapted.path / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(UserError, match="its tokens are pixels, and this is for models of text"):
        evaluate(adapted, settings_for(adapted, contexts=(others,), backend="vllm"))


def test_settings_with_which_vllm_has_nothing_to_do() -> None:
    none = {"decodings": ("no-repeat-ngram", "nucleus:temperature=3"), "backend": "vllm"}
    with pytest.raises(UserError) as error:
        EvaluationSettings(**none, batch_invariant=True)
    invariant, decodings = error.value.problems
    assert invariant.startswith("--batch-invariant: vLLM makes its batches itself; leave it out")
    assert decodings.startswith("--backend vllm: writes none of --decodings no-repeat-ngram nucleus:temperature=3 as")
    assert EvaluationSettings(backend="vllm").on("cuda").backend == "vllm"
    with pytest.raises(UserError, match="--backend tgi: give one of transformers, vllm"):
        EvaluationSettings(backend="tgi")  # type: ignore[arg-type]


def test_what_vllm_raises_is_told(
    adapted: RunDir, others: str, engine: type[LLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: LLM, *args: Any, **kwargs: Any) -> None:
        raise ValueError("GPT2LMHeadModel does not support LoRA yet.\nmore")

    monkeypatch.setattr(engine, "__init__", refuse)
    with pytest.raises(UserError) as error:
        evaluate(adapted, settings_for(adapted, contexts=(others,), backend="vllm"))
    (problem,) = error.value.problems
    assert problem == (
        f"--backend vllm: vLLM {VERSION} does not write with {adapted.recipe.model} (ValueError: GPT2LMHeadModel does "
        "not support LoRA yet.); see what it printed above, or leave --backend out"
    )


def test_texts_of_another_length_are_not_taken(
    adapted: RunDir, others: str, engine: type[LLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "text", lambda self, prompt, how: [1] * (how.max_tokens - 1))
    with pytest.raises(UserError, match=f"a text of base/greedy has not {TOTAL - CONTEXT} tokens"):
        evaluate(adapted, settings_for(adapted, contexts=(others,), backend="vllm"))
