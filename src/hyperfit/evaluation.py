"""Base and hyperfitted model on the same contexts: continue, measure, compare, beside the human text."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperfit.console import progress, say
from hyperfit.corpus import build_corpus, choose, evaluation_texts
from hyperfit.decode.decodings import Decoding, parse_decoding
from hyperfit.decode.generate import ONE_AT_A_TIME, continuation_text, continue_contexts
from hyperfit.errors import UserError, collecting
from hyperfit.measure.agreement import top1_agreement
from hyperfit.measure.estimate import Estimate, estimate, paired_difference
from hyperfit.measure.predictions import Predictions, predict
from hyperfit.measure.sharpness import sharpness_of
from hyperfit.measure.training_index import TrainingIndex
from hyperfit.model import autocast, load_config, load_tokenizer, pick_device, pick_precision, positions_of
from hyperfit.recipe import Precision, Recipe
from hyperfit.requests import Evaluation
from hyperfit.result import load_any
from hyperfit.rundir import RunDir, write_json, writing
from hyperfit.scoring import copies, score


@dataclass(frozen=True)
class Texts:
    """Human texts cut into contexts and references."""

    ids: Tensor
    """int64[texts, total]"""
    sources: list[str]
    """Where each came from."""


@dataclass(frozen=True)
class Place:
    """What a checked evaluation comes to on this machine."""

    device: torch.device
    precision: Precision
    """bf16 or fp32"""
    tokenizer: PreTrainedTokenizerBase
    texts: Texts
    training: list[list[int]]
    """The sequences the run was trained on."""


def evaluate(run: RunDir, settings: Evaluation) -> dict[str, Any]:
    """Continue the same contexts with both models, measure, and write samples/ and evaluation.json.

    Returns what evaluation.json holds: ``conditions`` (measures of texts by model/decoding, and of the human
    continuations), ``models`` (measures of the models on the human texts) and ``comparisons`` (hyperfitted
    minus base, paired over contexts), each measure with value, low, high, n; and ``copies`` (texts with the longest
    runs of the training data, see ``scoring.copies``).
    """
    place = checked(run, settings)
    decodings = [parse_decoding(text, "--decodings") for text in settings.decodings]
    if settings.batch_invariant:
        say(ONE_AT_A_TIME)
    contexts = place.texts.ids[:, : settings.context].tolist()
    human = place.texts.ids[:, settings.context :].tolist()
    written: dict[str, list[list[int]]] = {}
    seen: dict[str, Predictions] = {}
    for name, where in (("base", run.recipe.model), ("hyperfitted", str(run.path))):
        model = load_any(where, device=place.device, precision=place.precision)
        with autocast(place.device, place.precision):
            with progress(f"{name}: predictions on human text", len(contexts)) as advance:
                seen[name] = predict(model, place.texts.ids, skip=settings.context, advance=advance)
            for decoding in dict.fromkeys(decodings):
                with progress(f"{name}: {decoding} continuations", len(contexts)) as advance:
                    written[f"{name}/{decoding}"] = continue_contexts(
                        model,
                        place.tokenizer,
                        contexts,
                        new_tokens=settings.total - settings.context,
                        decoding=decoding,
                        seed=settings.seed,
                        batch_size=settings.batch_size,
                        batch_invariant=settings.batch_invariant,
                        advance=advance,
                    )
        attention = model.config._attn_implementation
        del model
    texts = {**written, "human": human}
    index = TrainingIndex(place.training)
    strings = {name: place.tokenizer.batch_decode(rows) for name, rows in texts.items()}
    scores = score(texts, place.training, strings, index)
    resolved = {"device": str(place.device), "precision": place.precision, "attention": attention}
    results = {
        "settings": {**dataclasses.asdict(settings), **resolved},
        "conditions": {name: scored.summary() for name, scored in scores.items()},
        "models": model_measures(seen),
        "comparisons": comparisons({name: scored.per_text for name, scored in scores.items()}, decodings),
        "copies": copies(
            texts, index, place.training, lambda ids: str(place.tokenizer.decode(list(ids), skip_special_tokens=True))
        ),
    }
    save_samples(run, place, contexts, texts, decodings, settings.seed)
    write_json(run.path / "evaluation.json", results)
    return results


def checked(run: RunDir, settings: Evaluation) -> Place:
    """Device, tokenizer and texts. Raises UserError with every problem there is."""
    recipe, problems = run.recipe, list[str]()
    device, texts = torch.device("cpu"), None
    with collecting(problems):
        run.result  # noqa: B018  # raises if there is none
    with collecting(problems):
        device = pick_device(settings.device)
    limit = positions_of(load_config(recipe.model))
    if limit and settings.total > limit:
        problems.append(f"--total {settings.total}: {recipe.model} knows {limit} positions; give at most {limit}")
    tokenizer = load_tokenizer(recipe.model)
    with collecting(problems):
        training = trained_on(run, tokenizer)
        texts = human_texts(recipe, settings, tokenizer)
    if problems or texts is None:
        raise UserError(*problems)
    precision = pick_precision(settings.precision, device, evaluating=True)
    return Place(device, precision, tokenizer, texts, training)


def trained_on(run: RunDir, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """The run's training sequences. Raises UserError if its texts have changed, and with them what was held out."""
    try:
        corpus = build_corpus(run.recipe, tokenizer)
        same = corpus.fingerprint == run.environment["data_fingerprint"]
    except UserError as error:
        raise UserError(
            f"{run.recipe.data}: the texts of {run.path} cannot be read (from this folder); restore them",
            *error.problems,
        ) from error
    if not same:
        raise UserError(f"{run.recipe.data}: the texts are not those that {run.path} was trained on; restore them")
    return corpus.train.tolist()


def human_texts(recipe: Recipe, settings: Evaluation, tokenizer: PreTrainedTokenizerBase) -> Texts:
    """Held-out texts of every source, at most an equal share of ``most_contexts`` from each, none twice."""
    sources = dict.fromkeys(settings.contexts or (recipe.data,))
    share = math.ceil(settings.most_contexts / len(sources))
    if recipe.heldout == 0 and not settings.contexts:
        raise UserError("--contexts: this run held no texts out (--heldout 0); name texts to continue")
    chosen: dict[tuple[int, ...], str] = {}
    for source in sources:
        rows = choose(evaluation_texts(recipe, source, tokenizer, settings.total), share, settings.seed)
        chosen = {**dict.fromkeys(map(tuple, rows.tolist()), source), **chosen}
    kept = [row for source in sources for row in chosen if chosen[row] == source][: settings.most_contexts]
    return Texts(torch.tensor(kept, dtype=torch.int64), [chosen[row] for row in kept])


def model_measures(seen: dict[str, Predictions]) -> dict[str, dict[str, Any]]:
    """Measures of each model's predictions on the human continuations."""
    measures = {}
    for name, read in seen.items():
        rows: dict[str, Estimate] = {
            **sharpness_of(read).estimates(),
            "top1_agreement_with_base": estimate(top1_agreement(read, seen["base"])),
        }
        measures[name] = {key: row.to_dict() for key, row in rows.items()}
    return measures


def comparisons(values: dict[str, dict[str, list[float]]], decodings: list[Decoding]) -> dict[str, Any]:
    """Hyperfitted minus base for every measure, paired over the contexts."""
    return {
        f"hyperfitted/{decoding} - base/{decoding}": {
            name: paired_difference(values[f"hyperfitted/{decoding}"][name], values[f"base/{decoding}"][name]).to_dict()
            for name in values["human"]
        }
        for decoding in decodings
    }


def save_samples(
    run: RunDir,
    place: Place,
    contexts: list[list[int]],
    texts: dict[str, list[list[int]]],
    decodings: list[Decoding],
    seed: int,
) -> None:
    """samples/MODEL-DECODING.jsonl: one text a line, with what made it. Replaces the samples of earlier evaluations."""
    by_name = {str(decoding): decoding for decoding in decodings}
    with writing(run.path / "samples") as folder:
        folder.mkdir()
        for condition, continuations in texts.items():
            model, _, name = condition.partition("/")
            made_by, file_name = dict[str, Any](), model
            if name:
                made_by = {"decoding": name, **by_name[name].settings, "seed": seed}
                file_name = f"{model}-{by_name[name].file_name}"
            with (folder / f"{file_name}.jsonl").open("w", encoding="utf-8") as file:
                for source, context, continuation in zip(place.texts.sources, contexts, continuations, strict=True):
                    row = {
                        "context": place.tokenizer.decode(context, skip_special_tokens=True),
                        "continuation": continuation_text(place.tokenizer, context, continuation),
                        "model": model,
                        "source": source,
                        **made_by,
                    }
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
