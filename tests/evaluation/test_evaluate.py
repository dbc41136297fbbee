"""An evaluation from the run's folder to evaluation.json: what each number is, worked out once more from the texts."""

import json
import math
import shutil
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from hyperfit.errors import UserError
from hyperfit.evaluation.checks import CheckedEvaluation, check_evaluation
from hyperfit.evaluation.conditions import Condition, conditions_of
from hyperfit.evaluation.evaluate import Observed, comparisons, evaluate, observe
from hyperfit.evaluation.external import ExternalTexts, evaluate_texts
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.generation.citations.index import CitationIndex
from hyperfit.generation.citations.of_run import run_citations
from hyperfit.generation.continuations import continue_contexts
from hyperfit.generation.decodings import Decoding, parse_decoding
from hyperfit.generation.settings import GenerationSettings
from hyperfit.metrics.by_model.coherence import coherence
from hyperfit.metrics.by_model.mauve import mauve
from hyperfit.metrics.estimate import paired_share_difference
from hyperfit.models.families import inner_model
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from hyperfit.training.train import train
from small_runs import recipe_for, write_texts
from tiny_models import random_ids, save_tiny

K = 5
CONTEXT, TOTAL = 16, 56
TEXTS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, texts, other texts to continue, and two short runs: an adapter, and a model trained whole."""
    folder = tmp_path_factory.mktemp("evaluation")
    model = save_tiny(folder / "model", max_position_embeddings=512)
    data = write_texts(folder / "texts.jsonl", 20, 0)
    write_texts(folder / "others.jsonl", 24, 100)
    for method, rate in (("late-lora", 2e-2), ("full", 2e-3)):
        recipe = recipe_for((str(model), str(data)), method=method, lr=rate, length=48, epochs=6)
        train(recipe, folder / method)
    return folder


@pytest.fixture(scope="module", params=["late-lora", "full"])
def run(folder: Path, request: pytest.FixtureRequest) -> RunDir:
    return RunDir.open(folder / request.param)


@pytest.fixture
def adapted(folder: Path, tmp_path: Path) -> RunDir:
    """A copy of the run with an adapter, to do with as one likes."""
    shutil.copytree(
        folder / "late-lora", tmp_path / "run", ignore=shutil.ignore_patterns("citations-*", "evaluation.json")
    )
    return RunDir.open(tmp_path / "run")


def settings_for(run: RunDir, **changes: Any) -> EvaluationSettings:
    given = {
        "contexts": (str(run.path.parent / "others.jsonl"),),
        "most_contexts": TEXTS,
        "context": CONTEXT,
        "total": TOTAL,
        "decodings": ("greedy",),
        "device": "cpu",
    }
    return EvaluationSettings(**{**given, **changes})


def observed_in(run: RunDir, **changes: Any) -> tuple[CheckedEvaluation, Observed]:
    settings = settings_for(run, **changes)
    place = check_evaluation(run, settings)
    return place, observe(run, place, settings, conditions_of(settings))


def followers_in(training: list[list[int]]) -> dict[tuple[int, ...], set[int]]:
    """What follows every K tokens, the slow way."""
    found: dict[tuple[int, ...], set[int]] = {}
    for row in training:
        for at in range(K, len(row)):
            found.setdefault(tuple(row[at - K : at]), set()).add(row[at])
    return found


def cited(text: list[int], training: list[list[int]], first: int) -> list[int]:
    """The places from ``first`` on whose token goes on with a citation."""
    followers = followers_in(training)
    return [at for at in range(first, len(text)) if text[at] in followers.get(tuple(text[at - K : at]), set())]


# Citations


def test_blocked_texts_hold_no_citation_and_unblocked_ones_do(run: RunDir) -> None:
    place, observed = observed_in(run)
    free, blocked = (observed.texts[f"hyperfitted/greedy{kind}"] for kind in ("", "+blocked"))
    whole = [
        [[*context, *text] for context, text in zip(place.texts.contexts, rows, strict=True)]
        for rows in (free, blocked)
    ]
    assert any(cited(text, place.training, CONTEXT) for text in whole[0]), "else the test shows nothing"
    assert not any(cited(text, place.training, CONTEXT) for text in whole[1])


def test_generated_only_lets_citations_begin_in_the_context(run: RunDir) -> None:
    place, observed = observed_in(run, citation_generated_only=True)
    for text in observed.texts["hyperfitted/greedy+blocked"]:
        assert not cited(text, place.training, K)
    at_first = observed.texts["hyperfitted/greedy+blocked"]
    assert [text[:K] for text in at_first] == [text[:K] for text in observed.texts["hyperfitted/greedy"]]


def test_whole_words_break_citations_off_where_a_word_begins(run: RunDir) -> None:
    place, observed = observed_in(run, citation_whole_words=True)
    inside = 0
    for context, text in zip(place.texts.contexts, observed.texts["hyperfitted/greedy+blocked"], strict=True):
        whole = [*context, *text]
        for at in cited(whole, place.training, CONTEXT):
            letter = place.tokenizer.decode(whole[at : at + 1])
            assert not letter.isspace()
            inside += 1
    assert inside or run.result.name == "adapter", "else the test shows nothing: words were finished"


def test_how_often_blocking_acted(run: RunDir) -> None:
    """Both shares once more from the texts: each step's followers, and the model's own choice there."""
    place, observed = observed_in(run)
    model = load_any(str(run.path), device=place.device)
    followers = followers_in(place.training)
    blocked = changed = steps = 0
    for context, text in zip(place.texts.contexts, observed.texts["hyperfitted/greedy+blocked"], strict=True):
        whole = [*context, *text]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([whole])).logits[0]
        logits[:, place.tokenizer.eos_token_id] = -torch.inf
        for at in range(CONTEXT, len(whole)):
            forbidden = followers.get(tuple(whole[at - K : at]), set())
            steps, blocked = steps + 1, blocked + bool(forbidden)
            changed += int(logits[at - 1].argmax()) in forbidden
    counts = observed.blocks["hyperfitted/greedy+blocked"]
    assert (counts.steps, counts.blocked, counts.changed) == (steps, blocked, changed)
    found = evaluate(run, settings_for(run))["conditions"]
    assert found["hyperfitted/greedy+blocked"]["blocked_steps"]["value"] == blocked / steps > 0
    assert found["hyperfitted/greedy+blocked"]["changed_choices"]["value"] == changed / steps > 0
    assert found["hyperfitted/greedy+blocked"]["changed_choices"]["n"] == steps == TEXTS * (TOTAL - CONTEXT)
    assert "blocked_steps" not in found["hyperfitted/greedy"]


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


def test_a_folder_that_cannot_be_written_in(adapted: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(index: CitationIndex, path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(CitationIndex, "save", refuse)
    training = random_ids(4, 30).tolist()
    assert run_citations(adapted, K, lambda: training).followers_of(training[0][:K]) == [training[0][K]]
    assert not list(adapted.path.glob("citations-*"))


# Models


def test_the_base_is_the_model_that_the_run_began_with(run: RunDir) -> None:
    """Under the adapter or loaded beside: it writes and predicts as the bare model does."""
    place, observed = observed_in(run, decodings=("greedy", "nucleus"))
    bare = load_any(run.recipe.model, device=place.device)
    for decoding in ("greedy", "nucleus"):
        alone = continue_contexts(
            bare, place.tokenizer, place.texts.contexts, new_tokens=TOTAL - CONTEXT, decoding=decoding
        )
        assert observed.texts[f"base/{decoding}"] == alone
        assert observed.texts[f"hyperfitted/{decoding}"] != alone


def test_one_seed_chooses_contexts_and_another_draws(folder: Path) -> None:
    run = RunDir.open(folder / "late-lora")
    both = {"decodings": ("greedy", "nucleus"), "blocked": ()}
    (place, first), (drawn_place, drawn), (other_place, _) = (
        observed_in(run, **both, **seeds) for seeds in ({}, {"seed": 1}, {"context_seed": 1})
    )
    assert torch.equal(place.texts.ids, drawn_place.texts.ids)
    for model in ("base", "hyperfitted"):
        assert first.texts[f"{model}/greedy"] == drawn.texts[f"{model}/greedy"]
        assert all(
            one != again
            for one, again in zip(first.texts[f"{model}/nucleus"], drawn.texts[f"{model}/nucleus"], strict=True)
        )
    contexts, others = ({tuple(row) for row in seen.texts.ids.tolist()} for seen in (place, other_place))
    assert len(contexts) == len(others) == TEXTS
    assert contexts != others


def plain_sharpness(model: Any, texts: list[list[int]], first: int, until: int) -> dict[str, float]:
    """Perplexity, entropy and top-1 mass of tokens first .. until, text by text."""
    rows = []
    for text in texts:
        with torch.no_grad():
            p = inner_model(model)(input_ids=torch.tensor([text])).logits[0].double().softmax(-1)
        loss = [-math.log(p[at - 1, text[at]]) for at in range(first, until)]
        entropy = [-(p[at - 1] * p[at - 1].log()).sum().item() for at in range(first, until)]
        mass = [p[at - 1].max().item() for at in range(first, until)]
        rows.append([sum(values) / len(values) for values in (loss, entropy, mass)])
    loss_mean, entropy_mean, mass_mean = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    return {"perplexity": math.exp(loss_mean), "entropy": entropy_mean, "top1_mass": mass_mean}


def test_sharpness_of_human_texts_contexts_and_own_texts(run: RunDir) -> None:
    """Of the searches too, whose steps are not all part of a text, and in several batches."""
    searches = ["beam:num_beams=2", "contrastive"]
    place, observed = observed_in(run, decodings=("greedy", *searches), batch_size=4)
    human, models = place.texts.ids.tolist(), observed.models
    for name, where in (("base", run.recipe.model), ("hyperfitted", str(run.path))):
        model = load_any(where, device=place.device)
        assert set(models[name]["own"]) == {str(parse_decoding(way)) for way in ("greedy", *searches)} | (
            {"greedy+blocked"} if name == "hyperfitted" else set()
        )
        cases = [(models[name], human, CONTEXT, TOTAL), (models[name]["contexts"], human, 1, CONTEXT)]
        for way, found in models[name]["own"].items():
            pairs = zip(place.texts.contexts, observed.texts[f"{name}/{way}"], strict=True)
            cases.append((found, [[*context, *text] for context, text in pairs], CONTEXT, TOTAL))
        for found, texts, first, until in cases:
            expected = plain_sharpness(model, texts, first, until)
            assert {key: found[key]["value"] for key in expected} == pytest.approx(expected, rel=1e-4)
            assert found["entropy"]["n"] == TEXTS


def test_texts_of_a_batch_that_proved_too_large(folder: Path, adapted: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the failed attempt has computed is no part of how the model predicted its texts."""
    settings = {"contexts": (str(folder / "others.jsonl"),), "blocked": ()}
    _, expected = observed_in(adapted, **settings)
    whole = LlamaForCausalLM.forward

    @wraps(whole)
    def small(self: LlamaForCausalLM, input_ids: torch.Tensor, **arguments: Any) -> Any:
        if len(input_ids) > 2 and input_ids.shape[1] == 1:  # after the first step
            raise torch.OutOfMemoryError
        return whole(self, input_ids, **arguments)

    monkeypatch.setattr(LlamaForCausalLM, "forward", small)
    _, found = observed_in(adapted, **settings)
    assert found.largest == {"base/greedy": 2, "hyperfitted/greedy": 2}
    assert expected.largest == {"base/greedy": TEXTS, "hyperfitted/greedy": TEXTS}
    assert found.texts == expected.texts
    for name, measures in expected.models.items():
        for key, value in measures["own"]["greedy"].items():
            assert found.models[name]["own"]["greedy"][key]["value"] == pytest.approx(value["value"], rel=1e-5)


def test_calibration_and_agreement_of_human_continuations(run: RunDir) -> None:
    place, observed = observed_in(run)
    chosen: dict[str, list[tuple[int, float, bool]]] = {}
    expected: dict[str, list[torch.Tensor]] = {"base": [], "hyperfitted": []}
    for name, where in (("base", run.recipe.model), ("hyperfitted", str(run.path))):
        model = load_any(where, device=place.device)
        chosen[name] = []
        for text in place.texts.ids:
            with torch.no_grad():
                p = inner_model(model)(input_ids=text[None]).logits[0, CONTEXT - 1 : -1].double().softmax(-1)
            expected[name].append(p)
            best = p.max(-1)
            chosen[name] += zip(
                best.indices.tolist(), best.values.tolist(), (best.indices == text[CONTEXT:]).tolist(), strict=True
            )
        table = observed.models[name]["reliability"]
        bins: list[list[tuple[float, bool]]] = [[] for _ in table["count"]]
        for _, sure, right in chosen[name]:
            bins[min(math.ceil(sure * len(bins)) - 1, len(bins) - 1)].append((sure, right))
        assert table["count"] == [len(inside) for inside in bins]
        assert len(table["edges"]) == len(bins) + 1
        error = sum(abs(sum(right - sure for sure, right in inside)) for inside in bins) / len(chosen[name])
        assert observed.models[name]["calibration_error"]["value"] == pytest.approx(error, abs=1e-5)
        for inside, confidence, accuracy in zip(bins, table["confidence"], table["accuracy"], strict=True):
            if inside:
                assert confidence == pytest.approx(sum(sure for sure, _ in inside) / len(inside), abs=1e-5)
                assert accuracy == sum(right for _, right in inside) / len(inside)
            else:
                assert confidence is accuracy is None
    same = [one[0] == other[0] for one, other in zip(chosen["base"], chosen["hyperfitted"], strict=True)]
    agreed = observed.agreement["top1_agreement"]["value"]
    assert (
        agreed
        == pytest.approx(sum(same) / len(same))
        == observed.models["hyperfitted"]["top1_agreement_with_base"]["value"]
    )
    p, q = (torch.cat(whole) for whole in expected.values())
    for key, one, other in (("kl", p, q), ("reverse_kl", q, p)):
        divergence = (one * (one.log() - other.log())).sum(-1).mean().item()
        assert observed.agreement[key]["value"] == pytest.approx(divergence, rel=1e-4)


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


# The whole command


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
        return [one.name for one in conditions_of(EvaluationSettings(**given)) if one.blocked]

    assert blocked() == ["hyperfitted/greedy+blocked"]
    assert blocked(blocked=()) == blocked(decodings=("beam",)) == []
    assert blocked(decodings=("top-k:top_k=40", "greedy"), blocked=("top-k",)) == ["hyperfitted/top-k+blocked"]
    assert Condition("base", Decoding("nucleus", (("top_p", 0.5),))).file_name == "base-nucleus_top_p=0.5"


def test_mauve_and_coherence(folder: Path) -> None:
    """Both as called on what lies in samples/."""
    run = RunDir.open(folder / "late-lora")
    other = str(save_tiny(folder / "gpt2", "gpt2", max_position_embeddings=512, seed=3))
    settings = settings_for(run, most_contexts=24, total=152, mauve=other, coherence=other)
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
    shutil.copytree(
        folder / "late-lora", tmp_path / "run", ignore=shutil.ignore_patterns("citations-*", "evaluation.json")
    )
    run = RunDir.open(tmp_path / "run")
    (run.path / "evaluation.json").unlink(missing_ok=True)
    monkeypatch.setitem(__import__("sys").modules, "mauve", None)
    monkeypatch.setattr("hyperfit.evaluation.evaluate.load_any", None)
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
        "hyperfit[mauve]",
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
