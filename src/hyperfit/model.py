"""Load a causal language model; know where its family keeps blocks, norm, head and embeddings."""

import json
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from peft import PeftModel
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from hyperfit import assets
from hyperfit.errors import UserError
from hyperfit.recipe import Precision

LOGITS_AT_ONCE = 2**22
"""Most logits held at a time: 16 MB in fp32, which was also the quickest (LAB.md)."""

UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError, StrictDataclassError)
"""What transformers raises for files that are absent, damaged or do not belong together."""


@dataclass(frozen=True)
class Family:
    """Module paths inside a causal LM of one architecture."""

    blocks: str
    """The ModuleList of transformer blocks."""
    norm: str
    """The norm between the last block and the head."""
    head: str
    """The unembedding."""
    embedding: str
    """The token embedding."""
    tuple_output: bool = False
    """Whether a block returns its hidden states as the first of a tuple."""


_LLAMA = Family("model.layers", "model.norm", "lm_head", "model.embed_tokens")

FAMILIES: dict[str, Family] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma": _LLAMA,
    "gemma2": _LLAMA,
    "gemma3_text": _LLAMA,
    "olmo2": _LLAMA,
    "phi3": _LLAMA,
    "phi": Family("model.layers", "model.final_layernorm", "lm_head", "model.embed_tokens"),
    "gpt2": Family("transformer.h", "transformer.ln_f", "lm_head", "transformer.wte"),
    "gpt_neox": Family("gpt_neox.layers", "gpt_neox.final_layer_norm", "lm_head", "gpt_neox.embed_in"),
    "opt": Family("model.decoder.layers", "model.decoder.final_layer_norm", "lm_head", "model.decoder.embed_tokens"),
}
"""By ``config.model_type``. A family is one line here; tests/families.py builds a tiny random model of each."""

IMAGE_FAMILIES: dict[str, Family] = {
    "imagegpt": Family("transformer.h", "transformer.ln_f", "lm_head", "transformer.wte", tuple_output=True),
}
"""The same for autoregressive models of images: their parts are known, but the commands read text."""


def family_of(model_type: str) -> Family:
    """The family's module paths. Raises UserError with the whole table for an unknown one."""
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    if model_type in IMAGE_FAMILIES:
        return IMAGE_FAMILIES[model_type]
    raise unknown(model_type)


def unknown(model_type: str) -> UserError:
    """What to say of a model that cannot be used."""
    rows = "\n".join(f"  {name:12} blocks {family.blocks}, norm {family.norm}" for name, family in FAMILIES.items())
    return UserError(
        f"model family {model_type!r} is not known; use a model of one of these, or add a line to FAMILIES in "
        f"hyperfit/model.py:\n{rows}"
    )


def blocks_of(model: PreTrainedModel) -> nn.ModuleList:
    """The model's transformer blocks, first to last. Raises UserError for an unknown family."""
    blocks = model.get_submodule(family_of(model.config.model_type).blocks)
    assert isinstance(blocks, nn.ModuleList)
    return blocks


def body_of(model: PreTrainedModel) -> nn.Module:
    """The module that runs the blocks one after the other: embedding, blocks and final norm, without the head."""
    return model.get_submodule(family_of(model.config.model_type).blocks.rpartition(".")[0])


def inner_model(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The causal LM itself, without PEFT's wrapping; adapters inside its blocks stay where they are."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(inner, PreTrainedModel)
    return inner


def head_of(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """From the last hidden states (after the final norm) to logits, as the model's own forward pass does it."""
    head = model.get_submodule(family_of(model.config.model_type).head)
    cap = getattr(model.config, "final_logit_softcapping", None)

    def logits(hidden: Tensor) -> Tensor:
        raw: Tensor = head(hidden)
        return raw if cap is None else torch.tanh(raw / cap) * cap

    return logits


def positions_of(config: Any) -> int | None:
    """The longest sequence the model has positions for; None if its config names no limit."""
    limit = getattr(config, "max_position_embeddings", None)
    return int(limit) if limit else None


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA, then MPS, then the CPU. Raises UserError for a device that is not there."""
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()  # a device that holds no numbers, such as meta, fails here
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"--device {name}: not to be had here ({reason}); give cpu or auto") from error
    return device


def device_name(device: torch.device) -> str:
    """The kind of processor."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{platform.processor() or platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return False


def pick_precision(precision: Precision, device: torch.device, *, evaluating: bool = False) -> Precision:
    """bf16 or fp32; ``auto`` is bf16 where the device is fast at it, but fp32 for evaluation on the CPU."""
    if precision != "auto":
        return precision
    if evaluating and device.type == "cpu":
        return "fp32"
    return "bf16" if fast_bf16(device) else "fp32"


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """bfloat16 arithmetic under bf16, nothing under fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def load_config(name: str) -> Any:
    """The model's config, its family, weights and code checked. Raises UserError naming every problem."""
    where = assets.resolve(name, "models")
    folder = Path(where)
    problems: list[str] = []
    if folder.is_dir():
        problems += _folder_problems(folder)
    elif folder.exists() or where.count("/") > 1 or where.startswith((".", "/", "~")):
        raise UserError(f"{name}: no such model folder; give a folder with config.json, a hub id or builtin:tiny")
    if problems:
        raise UserError(*(f"{name}: {problem}" for problem in problems))
    try:
        config = AutoConfig.from_pretrained(where, trust_remote_code=False)
    except UNREADABLE as error:
        raise UserError(
            f"{name}: neither a model folder here nor a hub model that could be loaded ({_reason(error)})"
        ) from error
    if config.model_type not in FAMILIES:
        raise unknown(config.model_type)
    return config


def _folder_problems(folder: Path) -> list[str]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = str(config["model_type"])
    except FileNotFoundError:
        if (folder / "recipe.json").is_file():
            return ["is a run of hyperfit; give its model/ folder, or the base model that it was trained from"]
        return ["no config.json in this folder; give the folder of a Hugging Face causal LM"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        return [f"config.json cannot be used ({type(error).__name__}: {error})"]
    problems = []
    if kind not in FAMILIES:
        if "auto_map" in config:
            problems.append(
                "needs code of its own (auto_map in config.json), which hyperfit does not run; use another model"
            )
        else:
            problems += unknown(kind).problems
    names = {path.name for path in folder.iterdir()}
    if not any(name.endswith(".safetensors") for name in names):
        pickles = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth")))
        if pickles:
            problems.append(
                f"has its weights only as pickle ({', '.join(pickles)}), which can run code; save it as safetensors "
                "(model.save_pretrained in transformers 5 does)"
            )
        else:
            problems.append("no weights in this folder (no .safetensors file); copy the model's weights there")
    return problems


def _reason(error: BaseException) -> str:
    """The kind of an error and its first line; the second too where the first is only a heading."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = lines[: 2 if lines and lines[0].endswith(":") else 1]
    return ": ".join([type(error).__name__, *(line.rstrip(":") for line in told)])


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The model's tokenizer; its pad token set to the end-of-text token where it has none."""
    where = assets.resolve(name, "models")
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
    except UNREADABLE as error:
        raise UserError(f"{name}: its tokenizer cannot be loaded ({_reason(error)})") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token or tokenizer.unk_token
    return tokenizer


def load_model(name: str, *, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """The causal LM in ``dtype`` on ``device``, in evaluation mode. Weights come from safetensors only."""
    config = load_config(name)
    where = assets.resolve(name, "models")
    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                where,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except UNREADABLE as error:
        raise UserError(f"{name}: its weights cannot be loaded ({_reason(error)})") from error
    model: PreTrainedModel
    model, report = loaded
    if misfits := sorted([*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]):
        raise UserError(
            f"{name}: its weights cannot be loaded: they are not those of its config.json ({len(misfits)} tensors are "
            f"missing or of another shape, such as {misfits[0]})"
        )
    moved: nn.Module = model
    moved.to(device).eval()
    return model


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients inside the block; the mode as it was after it."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


@contextmanager
def quiet() -> Iterator[None]:
    """No bars of transformers for what takes a moment, and no deprecation warnings that PEFT sets off in it."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
