"""Base and hyperfitted model on the same contexts: continue, measure, compare, beside the human text."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperfit.console import progress
from hyperfit.corpus import build_corpus, choose, evaluation_texts
from hyperfit.decode.decodings import DECODINGS, generation_config
from hyperfit.decode.generate import continue_contexts
from hyperfit.errors import UserError, collecting
from hyperfit.measure.diversity import ngram_repetition, type_token_ratio
from hyperfit.measure.estimate import Estimate, estimate, paired_difference
from hyperfit.measure.memorisation import LONG_OVERLAP, longest_overlaps
from hyperfit.measure.sharpness import Sharpness, sharpness, top1_agreement
from hyperfit.model import load_config, load_tokenizer, pick_device, positions_of
from hyperfit.result import load_any
from hyperfit.rundir import RunDir, write_json, writing


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a run is evaluated."""

    contexts: tuple[str, ...] = ()
    """Texts to continue: files, folders, hub data sets or builtin:NAME, of which what was not trained on is used.
    Empty: the held-out texts of the run's own data."""
    most_contexts: int = 300
    """Most contexts in all, chosen at random, as many from each source."""
    context: int = 32
    """Tokens of a context."""
    total: int = 256
    """Tokens of context and continuation together; the papers use 128 and 256."""
    decodings: tuple[str, ...] = ("greedy", "nucleus")
    """How both models decode."""
    batch_size: int = 64
    """Contexts continued at once."""
    seed: int = 0
    """Seed of the choice of contexts and of the sampling."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""


@dataclass(frozen=True)
class Texts:
    """Human texts cut into contexts and references."""

    ids: Tensor
    """int64[texts, total]"""
    sources: list[str]
    """Where each came from."""


def evaluate(run: RunDir, settings: Evaluation) -> dict[str, Any]:
    """Continue the same contexts with both models, measure, and write samples/ and evaluation.json.

    Returns what evaluation.json holds: ``conditions`` (measures of texts by model/decoding, and of the human
    continuations), ``models`` (measures of the models on the human texts) and ``comparisons`` (hyperfitted
    minus base, paired over contexts); each measure with value, low, high, n. On the CPU everything runs in
    fp32; on other devices in bf16.
    """
    device, tokenizer, texts = checked(run, settings)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    training = build_corpus(run.recipe, tokenizer).train.tolist()
    contexts = texts.ids[:, : settings.context].tolist()
    human = texts.ids[:, settings.context :].tolist()
    written: dict[str, list[list[int]]] = {}
    seen: dict[str, Sharpness] = {}
    for name in ("base", "hyperfitted"):
        model = load_any(run.recipe.model if name == "base" else str(run.path), device=device, dtype=dtype)
        with progress(f"{name}: predictions on human text", len(contexts)) as advance:
            seen[name] = sharpness(model, texts.ids, skip=settings.context, advance=advance)
        for decoding in settings.decodings:
            with progress(f"{name}: {decoding} continuations", len(contexts)) as advance:
                written[f"{name}/{decoding}"] = continue_contexts(
                    model,
                    tokenizer,
                    contexts,
                    new_tokens=settings.total - settings.context,
                    decoding=decoding,
                    seed=settings.seed,
                    batch_size=settings.batch_size,
                    advance=advance,
                )
        del model
    for condition, continuations in {**written, "human": human}.items():
        save_samples(run, condition, tokenizer, texts.sources, contexts, continuations, settings)
    values = {name: per_text(continuations, training) for name, continuations in {**written, "human": human}.items()}
    results = {
        "settings": {**dataclasses.asdict(settings), "device": str(device), "dtype": str(dtype).removeprefix("torch.")},
        "conditions": {name: summary(measures) for name, measures in values.items()},
        "models": model_measures(seen),
        "comparisons": comparisons(values, settings.decodings),
    }
    write_json(run.path / "evaluation.json", results)
    return results


def checked(run: RunDir, settings: Evaluation) -> tuple[torch.device, PreTrainedTokenizerBase, Texts]:
    """Device, tokenizer and texts. Raises UserError with every problem there is."""
    problems: list[str] = []
    device, texts = torch.device("cpu"), None
    with collecting(problems):
        run.result  # noqa: B018  # raises if there is none
    with collecting(problems):
        device = pick_device(settings.device)
    for decoding in settings.decodings:
        with collecting(problems):
            generation_config(decoding, new_tokens=1, stop_at_end=False, eos=None, pad=None)
    if not 1 <= settings.context < settings.total:
        problems.append(f"--context {settings.context}: give at least 1 and less than --total {settings.total}")
    if settings.batch_size < 1 or settings.most_contexts < 1:
        problems.append("--batch-size and --most-contexts: give 1 or more")
    limit = positions_of(load_config(run.recipe.model))
    if limit and settings.total > limit:
        problems.append(f"--total {settings.total}: {run.recipe.model} knows {limit} positions; give at most {limit}")
    tokenizer = load_tokenizer(run.recipe.model)
    with collecting(problems):
        texts = human_texts(run, settings, tokenizer)
    if problems or texts is None:
        raise UserError(*problems)
    return device, tokenizer, texts


def human_texts(run: RunDir, settings: Evaluation, tokenizer: PreTrainedTokenizerBase) -> Texts:
    """Held-out texts of every source, at most an equal share of ``most_contexts`` from each."""
    sources = settings.contexts or (run.recipe.data,)
    share = math.ceil(settings.most_contexts / len(sources))
    if run.recipe.heldout == 0 and not settings.contexts:
        raise UserError("--contexts: this run held no texts out (--heldout 0); name texts to continue")
    parts, names = [], []
    for source in sources:
        rows = choose(evaluation_texts(run.recipe, source, tokenizer, settings.total), share, settings.seed)
        parts.append(rows)
        names += [source] * len(rows)
    ids = torch.cat(parts)[: settings.most_contexts]
    return Texts(ids, names[: len(ids)])


def per_text(continuations: list[list[int]], training: list[list[int]]) -> dict[str, list[float]]:
    """Measures of texts, one value per text."""
    overlaps = longest_overlaps(continuations, training)
    return {
        "ttr": [type_token_ratio(tokens) for tokens in continuations],
        "bigram_repetition": [ngram_repetition(tokens, 2) for tokens in continuations],
        "trigram_repetition": [ngram_repetition(tokens, 3) for tokens in continuations],
        "longest_overlap": overlaps.astype(float).tolist(),
        "long_overlap_share": (overlaps > LONG_OVERLAP).astype(float).tolist(),
    }


def summary(measures: dict[str, list[float]]) -> dict[str, Any]:
    """Each measure as an estimate; and the longest overlap of all texts, which has no interval."""
    estimates: dict[str, Any] = {name: estimate(values).to_dict() for name, values in measures.items()}
    return {**estimates, "most_overlap": int(max(measures["longest_overlap"]))}


def model_measures(seen: dict[str, Sharpness]) -> dict[str, dict[str, Any]]:
    """Measures of each model's predictions on the human continuations."""
    measures = {}
    for name, sharp in seen.items():
        rows: dict[str, Estimate] = {
            "perplexity": estimate(sharp.loss, math.exp),
            "entropy": estimate(sharp.entropy),
            **{f"top{k}_mass": estimate(mass) for k, mass in sharp.top.items()},
            "top1_agreement_with_base": estimate(top1_agreement(sharp, seen["base"])),
        }
        measures[name] = {key: row.to_dict() for key, row in rows.items()}
    return measures


def comparisons(values: dict[str, dict[str, list[float]]], decodings: tuple[str, ...]) -> dict[str, Any]:
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
    condition: str,
    tokenizer: PreTrainedTokenizerBase,
    sources: list[str],
    contexts: list[list[int]],
    continuations: list[list[int]],
    settings: Evaluation,
) -> None:
    """samples/MODEL-DECODING.jsonl: one text a line, with what made it."""
    model, _, decoding = condition.partition("/")
    with (
        writing(run.path / "samples" / f"{condition.replace('/', '-')}.jsonl") as aside,
        aside.open("w", encoding="utf-8") as file,
    ):
        for source, context, continuation in zip(sources, contexts, continuations, strict=True):
            text = tokenizer.decode(context, skip_special_tokens=True), tokenizer.decode(continuation)
            row: dict[str, Any] = {"context": text[0], "continuation": text[1], "model": model, "source": source}
            if decoding:
                row |= {"decoding": decoding, **DECODINGS[decoding], "seed": settings.seed}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
