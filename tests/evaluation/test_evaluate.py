"""An evaluation from the run's folder to evaluation.json: what each number is, worked out once more from the texts."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hyperfit.cli import main
from hyperfit.errors import UserError, pip_install
from hyperfit.evaluation.conditions import Condition, conditions_of
from hyperfit.evaluation.evaluate import comparisons, evaluate
from hyperfit.evaluation.external import ExternalTexts, evaluate_texts
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.evaluation.values import read_values
from hyperfit.generation.citations.index import CitationIndex
from hyperfit.generation.citations.of_run import run_citations
from hyperfit.generation.decodings import Decoding
from hyperfit.generation.settings import GenerationSettings
from hyperfit.metrics.by_model.coherence import coherence
from hyperfit.metrics.by_model.mauve import mauve
from hyperfit.metrics.estimate import estimate, paired_share_difference
from hyperfit.runs.directory import RunDir
from small_evaluations import TEXTS, copied, settings_for
from small_runs import write_texts
from tiny_models import random_ids, save_tiny

K = 5


# Citations


def test_the_index_is_built_once_and_again_if_damaged(
    adapted: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    training = random_ids(4, 30).tolist()
    built = run_citations(adapted, K, lambda: training)
    (file,) = adapted.path.glob("citations-*.safetensors")
    assert adapted.environment["data_fingerprint"] in file.name

    def absent() -> list[list[int]]:
        raise AssertionError("built though it is there")

    again = run_citations(adapted, K, absent)
    assert built.tensors().keys() == again.tensors().keys()
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in built.tensors().items())

    file.write_bytes(file.read_bytes()[:-3])
    capsys.readouterr()
    mended = run_citations(adapted, K, lambda: training)
    assert torch.equal(mended.followers, built.followers)
    assert file.name in capsys.readouterr().err
    assert torch.equal(CitationIndex.load(file).followers, built.followers)

    environment = json.loads((adapted.path / "environment.json").read_text())
    (adapted.path / "environment.json").write_text(json.dumps({**environment, "data_fingerprint": "0" * 16}))
    others = random_ids(4, 30, seed=1).tolist()
    assert not torch.equal(run_citations(adapted, K, lambda: others).followers, built.followers)
    with pytest.raises(UserError, match=r"--citation-tokens 48: .* give at most 47"):
        run_citations(adapted, 48, lambda: training)


@pytest.mark.parametrize(
    "failure", [PermissionError(13, "Permission denied"), SafetensorError("Read-only file system")]
)
def test_a_folder_that_cannot_be_written_in(
    failure: Exception, adapted: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(index: CitationIndex, path: Path) -> None:
        raise failure

    monkeypatch.setattr(CitationIndex, "save", refuse)
    training = random_ids(4, 30).tolist()
    assert run_citations(adapted, K, lambda: training).followers_of(training[0][:K]) == [training[0][K]]
    assert not list(adapted.path.glob("citations-*"))
    said = capsys.readouterr().err
    assert "cannot be kept (Permission denied)" in said or "cannot be kept (Read-only file system)" in said


def test_a_run_that_cannot_be_written_to_is_said_first(adapted: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != adapted.path)
    monkeypatch.setattr("hyperfit.evaluation.evaluate.observe", None)  # nothing is computed
    with pytest.raises(UserError, match=f"--output {adapted.path}: .* is not a folder that can be written to"):
        evaluate(adapted, settings_for(adapted))


def test_all_that_an_evaluation_writes_goes_to_the_output(
    adapted: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in adapted.path.rglob("*")}
    output = tmp_path / "there" / "out"
    main(["evaluate", str(adapted.path), "--total", "44", "--context", "16", "--most-contexts", "2",
          "--decodings", "greedy", "-o", str(output)])  # fmt: skip
    assert f"Report: {output / 'report.html'}" in capsys.readouterr().out
    written = {path.name for path in output.iterdir()}
    assert written >= {"evaluation.json", "report.html", "samples", "tables"}
    assert any(name.startswith("citations-") for name in written)
    assert {path: path.stat().st_mtime_ns for path in adapted.path.rglob("*")} == before


# The whole command


def test_an_adapter_that_does_nothing_is_the_base(adapted: RunDir) -> None:
    file = adapted.path / "adapter" / "adapter_model.safetensors"
    save_file({name: t * 0 if "lora_B" in name else t for name, t in load_file(file).items()}, file)
    settings = settings_for(adapted, contexts=(), total=40, blocked=())
    results = evaluate(adapted, settings)
    agreement = {name: found["value"] for name, found in results["agreement"].items()}
    ones = dict.fromkeys(("top1_agreement", "top5_overlap", "top10_overlap", "rank_correlation"), 1.0)
    assert agreement == pytest.approx({**ones, **dict.fromkeys(("kl", "reverse_kl", "js"), 0.0)}, abs=1e-6)
    assert results["models"]["base"] == results["models"]["hyperfitted"]
    assert results["conditions"]["base/greedy"] == results["conditions"]["hyperfitted/greedy"]
    (compared,) = results["comparisons"].values()
    assert all(found["value"] in (0, None) for found in compared.values())
    assert not list(adapted.path.glob("citations-*")), "nothing was blocked"


def test_differences_of_shares_are_not_those_of_means() -> None:
    greedy = [Condition(model, Decoding("greedy")) for model in ("base", "hyperfitted")]
    nothing = {"loop_share": [0.0] * 40, "long_overlap_share": [0.0] * 40, "ttr": [0.5] * 40}
    (found,) = comparisons({one.name: nothing for one in greedy}, greedy).values()
    for share in ("loop_share", "long_overlap_share"):
        assert found[share] == paired_share_difference([0.0] * 40, [0.0] * 40).to_dict()
        assert found[share]["low"] < 0 < found[share]["high"], "no hit in 40 texts is no certainty"
    assert (found["ttr"]["low"], found["ttr"]["high"]) == (0, 0)


def test_conditions_comparisons_settings_and_samples(folder: Path, run: RunDir) -> None:
    settings = settings_for(run, decodings=("greedy", "nucleus", "greedy"), blocked=("nucleus", "greedy", "nucleus"))
    results = evaluate(run, settings)
    assert list(results["conditions"]) == [
        *(f"{model}/{decoding}" for model in ("base", "hyperfitted") for decoding in ("greedy", "nucleus")),
        "hyperfitted/nucleus+blocked",
        "hyperfitted/greedy+blocked",
        "human",
    ]
    assert set(results["comparisons"]) == {
        *(f"hyperfitted/{decoding} - base/{decoding}" for decoding in ("greedy", "nucleus")),
        *(f"hyperfitted/{decoding}+blocked - hyperfitted/{decoding}" for decoding in ("greedy", "nucleus")),
    }
    conditions = results["conditions"]
    change = results["comparisons"]["hyperfitted/greedy+blocked - hyperfitted/greedy"]["longest_overlap"]["value"]
    values = [conditions[f"hyperfitted/greedy{kind}"]["longest_overlap"]["value"] for kind in ("+blocked", "")]
    assert change == pytest.approx(values[0] - values[1])
    assert change != 0
    assert conditions["hyperfitted/greedy+blocked"]["most_overlap"] <= K
    assert results["settings"]["blocked"] == ["nucleus", "greedy"]
    assert results["settings"]["lexicon"] == "en"
    words = results["comparisons"]["hyperfitted/greedy - base/greedy"]["word_share"]
    assert 0 < words["n"] <= min(conditions[f"{model}/greedy"]["word_share"]["n"] for model in ("hyperfitted", "base"))
    assert conditions["human"]["word_share"] == {"value": 1, "low": 1, "high": 1, "n": TEXTS}
    assert json.loads((run.path / "evaluation.json").read_text()) == json.loads(json.dumps(results))

    written = [
        json.loads(line)
        for line in (run.path / "samples" / "hyperfitted-nucleus+blocked.jsonl").read_text().splitlines()
    ]
    assert len(written) == TEXTS
    assert (written[0]["decoding"], written[0]["top_p"], written[0]["citation_tokens"]) == ("nucleus+blocked", 0.9, K)
    free = json.loads((run.path / "samples" / "hyperfitted-nucleus.jsonl").read_text().splitlines()[0])
    assert "citation_tokens" not in free


def test_blocked_is_greedy_unless_said_otherwise() -> None:
    def blocked(**given: Any) -> list[str]:
        return [one.name for one in conditions_of(EvaluationSettings(**given).on("cpu")) if one.blocked]

    assert blocked() == ["hyperfitted/greedy+blocked"]
    assert blocked(blocked=()) == blocked(decodings=("beam",)) == []
    assert blocked(decodings=("top-k:top_k=40", "greedy"), blocked=("top-k",)) == ["hyperfitted/top-k+blocked"]
    assert Condition("base", Decoding("nucleus", (("top_p", 0.5),))).file_name == "base-nucleus_top_p=0.5"


def test_what_is_compared_unless_said_otherwise() -> None:
    """What one would otherwise do stands beside greedy texts; all of it where a GPU makes it cheap."""
    few, more = ("greedy", "nucleus", "repetition-penalty"), ("no-repeat-ngram", "min-p")
    assert EvaluationSettings().on("cpu").decodings == few
    assert EvaluationSettings().on("cuda").decodings == few + more
    assert EvaluationSettings(decodings=("beam",)).on("cuda").decodings == ("beam",)
    EvaluationSettings(blocked=("min-p",)).on("cuda")
    with pytest.raises(UserError, match=r"^--blocked min-p: is not among --decodings"):
        EvaluationSettings(blocked=("min-p",)).on("cpu")


def test_mauve_and_coherence(folder: Path) -> None:
    """Both as called on what lies in samples/."""
    run = RunDir.open(folder / "late-lora")
    other = str(save_tiny(folder / "gpt2", "gpt2", max_position_embeddings=512, seed=3))
    more = str(write_texts(folder / "more.jsonl", 60, 100))  # some are left out, as they resemble what is trained on
    settings = settings_for(run, contexts=(more,), most_contexts=24, total=152, mauve=other, coherence=other)
    found = evaluate(run, settings)
    rows = {
        name: [json.loads(line) for line in (run.path / "samples" / f"{name}.jsonl").read_text().splitlines()]
        for name in ("hyperfitted-greedy", "human")
    }
    written, human = ([row["continuation"] for row in rows[name]] for name in ("hyperfitted-greedy", "human"))
    expected = mauve(human, written, featuriser=other, device="cpu")
    measured = found["conditions"]["hyperfitted/greedy"]["mauve"]
    assert measured["values"] == expected.values.tolist()
    assert (measured["value"], measured["n"]) == (expected.mean, expected.n_written)
    assert measured["spread"] == [expected.low, expected.high]
    assert measured["seeds"] == list(expected.seeds)
    assert expected.n_written >= 20, "else all is undefined"
    assert "mauve" not in found["conditions"]["human"]

    contexts = [row["context"] for row in rows["human"]]
    judged = {
        name: coherence(contexts, texts, scorer=other, device="cpu").mean()
        for name, texts in (("hyperfitted/greedy", written), ("human", human))
    }
    for name, value in judged.items():
        assert found["conditions"][name]["coherence"]["value"] == pytest.approx(value, rel=1e-4)
    assert found["comparisons"]["hyperfitted/greedy - base/greedy"]["coherence"]["n"] == 24

    file = folder / "elsewhere.jsonl"
    pairs = zip(rows["hyperfitted-greedy"], human, strict=True)
    file.write_text("".join(json.dumps({**row, "reference": reference}) + "\n" for row, reference in pairs))
    same = evaluate_texts(ExternalTexts(texts=file, mauve=other, coherence=other, device="cpu"))["conditions"]
    assert same["hyperfitted/greedy"]["mauve"] == measured, "texts of a run, read as any others"
    for name in judged:
        assert same[name]["coherence"] == pytest.approx(found["conditions"][name]["coherence"], rel=1e-4)


def test_too_few_texts_for_mauve_leave_it_undefined(folder: Path) -> None:
    run = RunDir.open(folder / "late-lora")
    featuriser = str(save_tiny(folder / "few", "gpt2", max_position_embeddings=512))
    found = evaluate(run, settings_for(run, total=152, mauve=featuriser, blocked=()))
    measured = found["conditions"]["base/greedy"]["mauve"]
    assert measured["value"] is measured["spread"][0] is None
    assert set(measured["values"]) == {None}
    assert "NaN" not in (run.path / "evaluation.json").read_text()


def test_every_problem_is_said_before_anything_is_computed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = copied(folder / "late-lora", tmp_path / "run")
    (run.path / "evaluation.json").unlink(missing_ok=True)
    monkeypatch.setitem(__import__("sys").modules, "mauve", None)
    monkeypatch.setattr("hyperfit.evaluation.observe.load_any", None)
    small = str(save_tiny(tmp_path / "small", "gpt2"))
    wrong = settings_for(
        run,
        contexts=(str(folder / "others.jsonl"),),
        mauve=small,
        coherence="./nowhere",
        citation_tokens=48,
        device="cuda:99",
    )
    with pytest.raises(UserError) as error:
        evaluate(run, wrong)
    said = "\n".join(error.value.problems)
    for part in (
        pip_install("mauve-text"),
        f"--mauve {small}: knows 64 positions",
        "--coherence ./nowhere: no such model folder",
        "--citation-tokens 48",
        "--device cuda:99",
    ):
        assert part in said
    with pytest.raises(UserError, match=rf"--coherence {small}: the longest human text has 152 .* 64 positions"):
        evaluate(run, settings_for(run, contexts=(str(folder / "others.jsonl"),), total=152, coherence=small))
    assert not (run.path / "evaluation.json").exists()


def test_bad_settings_of_blocking() -> None:
    with pytest.raises(UserError) as error:
        EvaluationSettings(decodings=("greedy",), blocked=("hot",), citation_tokens=0)
    assert [problem.split(":")[0] for problem in error.value.problems] == ["--citation-tokens 0", "--blocked hot"]
    with pytest.raises(UserError, match="--blocked beam: is not among --decodings"):
        EvaluationSettings(decodings=("greedy",), blocked=("greedy", "beam"))
    with pytest.raises(UserError, match="--citation-tokens 0"):
        GenerationSettings(model="m", prompt=("a",), block_citations=True, citation_tokens=0)
    for settings in (
        lambda **flags: GenerationSettings(model="m", prompt=("a",), **flags),
        lambda **flags: EvaluationSettings(blocked=(), **flags),
        lambda **flags: EvaluationSettings(decodings=("nucleus",), **flags),
    ):
        with pytest.raises(UserError) as useless:
            settings(citation_tokens=7, citation_whole_words=True)
        named = [problem.split(":")[0] for problem in useless.value.problems]
        assert named == ["--citation-tokens", "--citation-whole-words"]


# Values of single texts


def test_values_of_every_text_lie_beside_the_means(adapted: RunDir, folder: Path) -> None:
    settings = settings_for(adapted, contexts=(str(folder / "others.jsonl"),))
    found = evaluate(adapted, settings)
    kept = read_values(adapted.path, found)
    n = found["conditions"]["human"]["ttr"]["n"]
    assert len(set(kept["contexts"])) == len(kept["contexts"]) >= n
    assert kept["conditions"].keys() == found["conditions"].keys()
    for name, measures in kept["conditions"].items():
        for measure, values in measures.items():
            told = found["conditions"][name][measure]["value"]
            assert (
                math.isnan(estimate(values).value)
                if told is None
                else math.isclose(estimate(values).value, told, abs_tol=1e-5)
            ), (name, measure)
    for model, measures in kept["models"].items():
        assert estimate(measures["loss"], math.exp).value == pytest.approx(
            found["models"][model]["perplexity"]["value"], rel=1e-4
        )
    assert read_values(adapted.path, evaluate(adapted, settings))["contexts"] == kept["contexts"]
    assert read_values(adapted.path / "nowhere", found) == {}
