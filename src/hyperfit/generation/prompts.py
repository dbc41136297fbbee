"""Prompts in, continuations out, with any model that hyperfit can load."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from hyperfit.console import progress, say
from hyperfit.data.sources import read_documents
from hyperfit.errors import UserError, collecting
from hyperfit.generation.citations.blocking import CitationBlocker
from hyperfit.generation.citations.of_run import run_citations, trained_on
from hyperfit.generation.citations.word_starts import word_starts
from hyperfit.generation.decodings import parse_decoding
from hyperfit.generation.generate import ONE_AT_A_TIME, continuation_text, continue_contexts
from hyperfit.generation.settings import GenerationSettings, citation_settings
from hyperfit.models.devices import autocast, pick_device, pick_precision
from hyperfit.models.families import positions_of
from hyperfit.models.loading import load_config, load_tokenizer
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import check_adapter, is_run, load_any, parts_of


def continuations(request: GenerationSettings) -> Iterator[dict[str, Any]]:
    """One row a prompt: prompt, continuation, model, decoding and its parameters, seed; how citations were blocked.

    Raises UserError before any model is loaded.
    """
    problems: list[str] = []
    device, prompts = torch.device("cpu"), list(request.prompt)
    blockers: list[CitationBlocker] = []
    with collecting(problems):
        device = pick_device(request.device)
    with collecting(problems):
        if request.prompts is not None:
            documents, apart = read_documents(str(request.prompts), flag="--prompts")
            prompts += [document.text.strip() for document in (*documents, *apart)]
    with collecting(problems):
        base, adapter = parts_of(request.model)
        limit = positions_of(load_config(base))
        with collecting(problems):
            check_adapter(base, adapter)
        tokenizer = load_tokenizer(base)
        with collecting(problems):
            blockers = [blocker_of(request, tokenizer)] if request.block_citations else []
        contexts = [list(ids) for ids in tokenizer(prompts)["input_ids"]] if prompts else []
        if not all(contexts):
            raise UserError("--prompt: an empty text has no token to continue; leave it out")
        longest = max((len(ids) for ids in contexts), default=0)
        if limit and longest + request.new_tokens > limit:
            problems.append(
                f"--new-tokens {request.new_tokens}: with a prompt of {longest} tokens that is more than the {limit} "
                f"positions of {request.model}; give at most {max(limit - longest, 0)}, or a shorter prompt"
            )
    if problems:
        raise UserError(*problems)
    precision = pick_precision(request.precision, device, evaluating=True)
    model = load_any(request.model, device=device, precision=precision)
    decoding = parse_decoding(request.decoding)
    if request.batch_invariant:
        say(ONE_AT_A_TIME)
    with progress(f"{decoding} continuations", len(contexts)) as advance, autocast(device, precision):
        written = continue_contexts(
            model,
            tokenizer,
            contexts,
            new_tokens=request.new_tokens,
            decoding=decoding,
            seed=request.seed,
            batch_size=request.batch_size,
            batch_invariant=request.batch_invariant,
            stop_at_end=True,
            processors=blockers,
            advance=advance,
        )
    for counts in (blocker.counts() for blocker in blockers):
        say(f"citations: forbidden at {counts.blocked} of {counts.steps} steps, the choice changed at {counts.changed}")
    for prompt, context, ids in zip(prompts, contexts, written, strict=True):
        row: dict[str, Any] = {
            "prompt": prompt,
            "continuation": continuation_text(tokenizer, context, ids, skip_special=True),
        }
        row |= {"model": request.model, "decoding": str(decoding), **decoding.settings, "seed": request.seed}
        yield {**row, **(citation_settings(request) if blockers else {})}


def blocker_of(request: GenerationSettings, tokenizer: PreTrainedTokenizerBase) -> CitationBlocker:
    """Forbids what would cite the run's training data. Raises UserError for a model that is no run."""
    if not is_run(request.model):
        raise UserError(
            f"--block-citations: {request.model} is no run of hyperfit, so what it was trained on is not known; give "
            "the folder of a run"
        )
    run = RunDir.open(Path(request.model))
    return CitationBlocker(
        run_citations(run, request.citation_tokens, lambda: trained_on(run, tokenizer)),
        count_context=not request.citation_generated_only,
        pad_token_id=0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        word_starts=word_starts(tokenizer) if request.citation_whole_words else None,
    )
