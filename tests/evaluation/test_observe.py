"""What both models write and predict: every number worked out once more from the texts, by a plain forward pass."""

import math
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from hyperfit.evaluation.checks import CheckedEvaluation, check_evaluation
from hyperfit.evaluation.conditions import conditions_of
from hyperfit.evaluation.evaluate import evaluate
from hyperfit.evaluation.observe import Observed, observe
from hyperfit.generation.continuations import continue_contexts
from hyperfit.generation.decodings import parse_decoding
from hyperfit.models.structure.layout import inner_model
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from small_evaluations import CONTEXT, TEXTS, TOTAL, settings_for

K = 5


def observed_in(run: RunDir, **changes: Any) -> tuple[CheckedEvaluation, Observed]:
    settings = settings_for(run, **changes)
    place = check_evaluation(run, settings, run.path)
    return place, observe(run, place, conditions_of(place.settings))


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
    assert place.texts.rows == drawn_place.texts.rows
    for model in ("base", "hyperfitted"):
        assert first.texts[f"{model}/greedy"] == drawn.texts[f"{model}/greedy"]
        assert all(
            one != again
            for one, again in zip(first.texts[f"{model}/nucleus"], drawn.texts[f"{model}/nucleus"], strict=True)
        )
    contexts, others = ({tuple(row) for row in seen.texts.rows} for seen in (place, other_place))
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
    human, models = place.texts.rows, observed.models
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
        for text in map(torch.tensor, place.texts.rows):
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
