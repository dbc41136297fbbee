"""The engine: all that is asked of the package vllm, and the only place that imports it."""

import gc
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from hyperfit.console import say
from hyperfit.errors import UserError, pip_install
from hyperfit.generation.decodings import Decoding
from hyperfit.generation.processors.sampling import sample_numbers, text_key
from hyperfit.generation.vllm.parameters import vllm_parameters
from hyperfit.numbers import COUNT
from hyperfit.recipes.recipe import Precision

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as the highest rank of an adapter."""
ENVIRONMENT = {"VLLM_LOGGING_STREAM": "ext://sys.stderr", "VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1"}
"""Unless they are set: its log is kept out of what is printed, and it sends nothing about its use."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What vLLM loads."""

    model: str
    """A model folder or a hub id."""
    precision: Precision
    """bf16 or fp32: of the weights and of all that is computed."""
    adapter: Path | None = None
    """The folder of an adapter that some of the texts are written with."""
    rank: int = 0
    """Of the adapter."""
    batch_size: int | None = None
    """Most texts written at once. None: vLLM's own."""

    def settings(self, tokens: int) -> dict[str, Any]:
        """Arguments of vLLM's ``LLM``. tokens: of the longest context and its text."""
        return {
            "model": self.model,
            "dtype": "bfloat16" if self.precision == "bf16" else "float32",
            "max_model_len": tokens,
            **({"max_num_seqs": self.batch_size} if self.batch_size is not None else {}),
            **(
                {"enable_lora": True, "max_lora_rank": next(most for most in RANKS if most >= self.rank)}
                if self.adapter
                else {}
            ),
        }


@dataclass(frozen=True)
class Asked:
    """What an engine is to write of every context."""

    decoding: Decoding
    """One that ``vllm_parameters`` knows."""
    adapted: bool
    """Whether with the engine's adapter."""


def vllm_package() -> ModuleType:
    """The package. Raises UserError with what to install where it cannot be imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        return import_module("vllm")
    except ImportError as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"--backend vllm: vLLM is not installed, or cannot be imported ({reason}); "
            f"{pip_install('vllm')}, or leave --backend out"
        ) from error


def write_texts(
    engine: Engine,
    asked: Mapping[str, Asked],
    contexts: Sequence[Sequence[int]],
    *,
    new_tokens: int,
    ends: Sequence[int],
    seed: int,
) -> dict[str, list[list[int]]]:
    """Name → exactly ``new_tokens`` token ids for every context; the GPU is free again afterwards.

    contexts: token ids with their special tokens. ends: tokens that end a text, which are forbidden. seed: of the
    sampling: a text depends on it, on its context and on how many equal ones stand before it, up to the rounding of its
    logits; vLLM's random numbers are others than those of ``SeededSampling``.

    Raises UserError for whatever vLLM fails at.
    """
    vllm = vllm_package()
    prompts = [{"prompt_token_ids": list(context)} for context in contexts]
    seeds = [
        int.from_bytes(text_key(context, seed=seed, number=number)[:4], "little")
        for context, number in zip(contexts, sample_numbers(contexts), strict=True)
    ]
    fixed = {"max_tokens": new_tokens, "min_tokens": new_tokens, "stop_token_ids": list(ends), "detokenize": False}
    written = {}
    with failing(engine, vllm.__version__):
        llm = vllm.LLM(**engine.settings(max(map(len, contexts)) + new_tokens))
        for name, one in asked.items():
            say(f"{name}: vLLM writes {COUNT(len(contexts))} texts")
            parameters = {**(vllm_parameters(one.decoding) or {}), **fixed}
            outputs = llm.generate(
                prompts,
                [vllm.SamplingParams(**parameters, seed=each) for each in seeds],
                use_tqdm=sys.stderr.isatty(),
                lora_request=lora_request(engine.adapter) if one.adapted and engine.adapter else None,
            )
            written[name] = [list(output.outputs[0].token_ids) for output in outputs]
            if any(len(text) != new_tokens for text in written[name]):
                raise ValueError(f"a text of {name} has not {new_tokens} tokens")
        del llm
        gc.collect()  # its finalizer ends the process that holds the GPU
    return written


def lora_request(adapter: Path) -> Any:
    """What has texts written with the adapter."""
    from vllm.lora.request import LoRARequest

    return LoRARequest(lora_name="adapter", lora_int_id=1, lora_path=str(adapter.resolve()))


@contextmanager
def failing(engine: Engine, version: str) -> Iterator[None]:
    """Whatever vLLM raises as a UserError: families and adapters it does not know, memory, versions of itself."""
    try:
        yield
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise UserError(
            f"--backend vllm: vLLM {version} does not write with {engine.model} ({reason}); see what it printed above, "
            "or leave --backend out"
        ) from error
