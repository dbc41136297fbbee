"""Prompts in, continuations out, with any model that hyperfit can load."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hyperfit.console import progress
from hyperfit.decode.decodings import generation_config
from hyperfit.decode.generate import continue_contexts
from hyperfit.errors import UserError, collecting
from hyperfit.model import load_config, load_tokenizer, pick_device, positions_of
from hyperfit.result import load_any, parts_of
from hyperfit.sources import read_documents


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to continue, with what, and how."""

    model: str
    """A run, an adapter folder, a model folder, a hub id, or builtin:tiny."""
    prompt: tuple[str, ...] = ()
    """Texts to continue."""
    prompts: Path | None = None
    """A file of texts to continue, as hyperfit.sources reads them."""
    new_tokens: int = 224
    """Most tokens to add; a text ends earlier where the model ends it."""
    decoding: str = "greedy"
    """A name in hyperfit.decode.decodings."""
    seed: int = 0
    """Seed of the sampling."""
    batch_size: int = 32
    """Prompts continued at once."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""


def continuations(request: Request) -> Iterator[dict[str, Any]]:
    """One row a prompt: prompt, continuation, model, decoding, seed. Raises UserError before any model is loaded."""
    problems: list[str] = []
    device, prompts = torch.device("cpu"), list(request.prompt)
    with collecting(problems):
        device = pick_device(request.device)
    with collecting(problems):
        generation_config(request.decoding, new_tokens=1, stop_at_end=True, eos=None, pad=None)
    with collecting(problems):
        if request.prompts is not None:
            prompts += [document.text.strip() for document in read_documents(str(request.prompts))[0]]
        if not any(prompts):
            raise UserError("--prompt: give a text to continue, or a file of them with --prompts")
    if request.new_tokens < 1 or request.batch_size < 1:
        problems.append("--new-tokens and --batch-size: give 1 or more")
    with collecting(problems):
        base, _ = parts_of(request.model)
        limit = positions_of(load_config(base))
        tokenizer = load_tokenizer(base)
        contexts = tokenizer(prompts)["input_ids"] if prompts else []
        longest = max((len(ids) for ids in contexts), default=0)
        if limit and longest + request.new_tokens > limit:
            problems.append(
                f"--new-tokens {request.new_tokens}: with a prompt of {longest} tokens that is more than the {limit} "
                f"positions of {request.model}; give at most {max(limit - longest, 0)}, or a shorter prompt"
            )
    if problems:
        raise UserError(*problems)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    model = load_any(request.model, device=device, dtype=dtype)
    with progress(f"{request.decoding} continuations", len(contexts)) as advance:
        written = continue_contexts(
            model,
            tokenizer,
            contexts,
            new_tokens=request.new_tokens,
            decoding=request.decoding,
            seed=request.seed,
            batch_size=request.batch_size,
            stop_at_end=True,
            advance=advance,
        )
    for prompt, ids in zip(prompts, written, strict=True):
        row = {"prompt": prompt, "continuation": tokenizer.decode(ids, skip_special_tokens=True)}
        yield {**row, "model": request.model, "decoding": request.decoding, "seed": request.seed}
