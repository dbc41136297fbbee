"""Prompts in, continuations out, with any model that hyperfit can load."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from hyperfit.console import progress, say
from hyperfit.data.chats import answer_header, to_answer
from hyperfit.data.prompted import check_few
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.sources import read_prompts
from hyperfit.data.special_tokens import token_ids
from hyperfit.data.template import check_template
from hyperfit.errors import UserError, collecting, naming
from hyperfit.generation.citations.of_run import MakeBlocker, blocker_of_run, run_to_block, trained_on
from hyperfit.generation.continuations import ONE_AT_A_TIME, continuation_text, continue_contexts
from hyperfit.generation.decodings import parse_decoding
from hyperfit.generation.settings import GenerationSettings, citation_settings
from hyperfit.models.devices import autocast, pick_device, pick_precision
from hyperfit.models.loading import load_config, load_tokenizer
from hyperfit.models.structure.ends import end_tokens
from hyperfit.models.structure.layout import inner_model, positions_of
from hyperfit.models.structure.vocabulary import check_embedded
from hyperfit.recipes.recipe import Precision
from hyperfit.runs.result import base_argument, check_adapter, is_run, load_any, parts_of

PROMPT = "--prompt"
"""Where what is typed comes from."""


@dataclass(frozen=True, kw_only=True)
class CheckedPrompts:
    """What the settings come to on this machine."""

    device: torch.device
    precision: Precision
    """bf16 or fp32"""
    tokenizer: PreTrainedTokenizerBase
    prompts: list[Document]
    """What is continued; with ``chat`` chats, of which the model is to say the next."""
    contexts: list[list[int]]
    """Their token ids."""
    blocker: MakeBlocker | None
    """Makes what forbids citations of the training data, of the tokens that end a text; None: none are forbidden."""


def generate(settings: GenerationSettings) -> list[dict[str, Any]]:
    """Continue every prompt of the settings with their model.

    Returns one row a prompt: prompt, continuation, model, decoding and its parameters, seed; how citations were
    blocked. Raises UserError with every problem before any model is loaded.
    """
    checked = check_prompts(settings)
    model = load_any(settings.model, device=checked.device, precision=checked.precision, strength=settings.strength)
    decoding = parse_decoding(settings.decoding)
    ends = end_tokens(inner_model(model), checked.tokenizer)
    blockers = [checked.blocker(ends)] if checked.blocker else []
    if settings.batch_invariant:
        say(ONE_AT_A_TIME)
    with (
        progress(f"{decoding} continuations, texts", len(checked.contexts)) as advance,
        autocast(checked.device, checked.precision),
    ):
        written = continue_contexts(
            model,
            checked.tokenizer,
            checked.contexts,
            new_tokens=settings.new_tokens,
            decoding=decoding,
            seed=settings.seed,
            batch_size=settings.batch_size,
            batch_invariant=settings.batch_invariant,
            stop_at_end=True,
            processors=blockers,
            advance=advance,
        )
    for counts in (blocker.counts() for blocker in blockers):
        say(f"citations: forbidden at {counts.blocked} of {counts.steps} steps, the choice changed at {counts.changed}")
    made_by = {"model": settings.model, "decoding": str(decoding), **decoding.settings, "seed": settings.seed}
    made_by |= citation_settings(settings) if blockers else {}
    made_by |= {"strength": settings.strength} if settings.strength != 1 else {}
    made_by |= {"chat": True} if settings.chat else {}
    return [
        {
            "prompt": prompt.text,
            "continuation": continuation_text(checked.tokenizer, context, ids, skip_special=True),
            **made_by,
        }
        for prompt, context, ids in zip(checked.prompts, checked.contexts, written, strict=True)
    ]


def check_prompts(settings: GenerationSettings) -> CheckedPrompts:
    """Device, prompts, their tokens, and what blocks citations. Raises UserError with every problem there is."""
    problems: list[str] = []
    device, prompts = torch.device("cpu"), [Document(text, PROMPT) for text in settings.prompt]
    blocker: MakeBlocker | None = None
    with collecting(problems):
        device = pick_device(settings.device)
    with collecting(problems):
        if settings.prompts is not None:
            prompts += read_prompts(settings.prompts, settings.text_column)
    with collecting(problems):
        with naming("MODEL"):
            base, adapter = parts_of(settings.model)
        named = base_argument("MODEL", settings.model)
        with naming(named):
            limit = positions_of(load_config(base))
        with collecting(problems):
            check_adapter(base, adapter)
        if settings.strength != 1 and adapter is None and not is_run(settings.model):
            problems.append(
                f"--strength {settings.strength:g}: scales what training changed, and {settings.model} is neither a "
                "run nor an adapter; leave it out"
            )
        with naming(named):
            tokenizer = load_tokenizer(base)
        with collecting(problems):
            blocker = blocker_of(settings, tokenizer) if settings.block_citations else None
        if settings.chat:
            check_template(tokenizer, f"--chat {settings.model}", "leave --chat out")
            prompts, contexts = to_be_answered(prompts, tokenizer)
        else:
            if chats := [prompt.origin for prompt in prompts if prompt.messages]:
                problems.append(f"--prompts: {chats[0]} is a chat; give --chat, and its next reply is written")
            contexts = token_ids(tokenizer, [prompt.text for prompt in prompts])
        with collecting(problems), naming(named):
            check_embedded(base, tokenizer, contexts)
        if not all(contexts):
            raise UserError("--prompt: an empty text has no token to continue; leave it out")
        longest = max((len(ids) for ids in contexts), default=0)
        if limit and longest + settings.new_tokens > limit:
            problems.append(
                f"--new-tokens {settings.new_tokens}: with a prompt of {longest} tokens that is more than the {limit} "
                f"positions of {settings.model}; give at most {max(limit - longest, 0)}, or a shorter prompt"
            )
    if problems:
        raise UserError(*problems)
    return CheckedPrompts(
        device=device,
        precision=pick_precision(settings.precision, device, evaluating=True),
        tokenizer=tokenizer,
        prompts=prompts,
        contexts=contexts,
        blocker=blocker,
    )


def to_be_answered(
    prompts: Sequence[Document], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Document], list[list[int]]]:
    """What stands before each answer, and its tokens. Raises UserError with the prompts that cannot be answered."""
    problems, chats, contexts = list[str](), list[Document](), list[list[int]]()
    for prompt in prompts:
        if not prompt.text.strip():
            problems.append(f"{PROMPT}: an empty text cannot be answered; leave it out")
            continue
        with collecting(problems), nullcontext() if prompt.origin == PROMPT else naming("--prompts"):
            chats.append(to_answer(prompt))
            contexts.append(answer_header(chats[-1], tokenizer))
    check_few(problems)
    return chats, contexts


def blocker_of(settings: GenerationSettings, tokenizer: PreTrainedTokenizerBase) -> MakeBlocker:
    """A maker of what forbids citing the run's training data. Raises UserError for a model that is no run."""
    run = run_to_block(settings.model)
    return blocker_of_run(run, settings, tokenizer, lambda: trained_on(run, tokenizer))
