"""Load a causal language model and its tokenizer, with every problem of its folder told at once."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.quantizers.auto import get_hf_quantizer
from transformers.utils import logging as transformers_logging

from hyperfit.data.reading.hub import check_hub
from hyperfit.errors import UserError, naming
from hyperfit.models.files.classes import model_class, refusal, unknown
from hyperfit.models.files.folders import model_files, model_folder
from hyperfit.models.files.pictures import PIXELS, of_pictures
from hyperfit.models.files.quantized import is_quantized, let_gradients_through, outlier_threshold
from hyperfit.models.files.shards import check_hub_shards, check_weights_name
from hyperfit.models.skeleton import parameters_of
from hyperfit.models.structure.causal import check_model
from hyperfit.numbers import COUNT

UNREADABLE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, RuntimeError),
    *(SafetensorError, StrictDataclassError),
)
"""What transformers and torch raise for files that are absent, damaged or do not belong together."""
SENTENCEPIECE = b"\n"
"""How its files begin: with the tag of the first piece. Those of tiktoken, which may have the same name, are text."""
PACKED = 8
"""Weights that a byte holds at most, where they are quantized."""


def load_config(name: str, *, weights: bool = True) -> Any:
    """The model's config, its family, weights and code checked. Raises UserError naming every problem.

    weights: whether a folder has to hold them.
    """
    where = model_folder(name)
    folder = Path(where)
    problems: list[str] = []
    if folder.is_dir():
        problems += _folder_problems(folder, weights)
    elif folder.exists() or where.count("/") > 1 or where.startswith((".", "/", "~")):
        raise UserError(f"{name}: no such model folder; give a folder with config.json, a hub id or builtin:tiny")
    if problems:
        raise UserError(*(f"{name}: {problem}" for problem in problems))
    if not folder.is_dir():
        check_hub(where)
    try:
        config = AutoConfig.from_pretrained(where, trust_remote_code=False)
    except Exception as error:  # each family's config finds its own words for values that cannot be
        raise UserError(
            f"{name}: neither a model folder here nor a hub model that could be loaded ({_reason(error)})"
        ) from error
    if reason := refusal(config):
        raise UserError(f"{name}: {reason}")
    with naming(f"{name}:"):
        check_weights_name(getattr(config, "transformers_weights", None))
    if is_quantized(config):
        check_quantization(name, config)
    return config


def check_quantization(name: str, config: Any) -> None:
    """Raises UserError for quantized weights that cannot be read here: a package or a GPU is missing.

    And for those of 8 bits whose products hang on all tokens that are read together.
    """
    reason = "transformers does not know how"
    try:
        quantizer, *_ = get_hf_quantizer(deepcopy(config), None, None, True, {})
    except (*UNREADABLE, ImportError) as error:
        quantizer, reason = None, _reason(error)
    if quantizer is None:
        raise UserError(
            f"{name}: its weights are quantized (quantization_config in config.json), and cannot be read here "
            f"({reason}); install what that names, or give the model in its original precision"
        )
    if threshold := outlier_threshold(config):
        raise UserError(
            f"{name}: its weights are in 8 bits with llm_int8_threshold {threshold:g}; where a value is larger, its "
            "column is computed in another way for all tokens of a batch, so that a token changes what is expected "
            "before it and in other texts; set llm_int8_threshold to 0.0 in its config.json (quantization_config), or "
            "give it in 4 bits or in its original precision"
        )


def _folder_problems(folder: Path, weights: bool) -> list[str]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = str(config["model_type"])
    except FileNotFoundError:
        if (folder / "recipe.json").is_file():
            return ["is a run of hyperfit; give its model/ folder, or the base model that it was trained from"]
        if (folder / "adapter_config.json").is_file():
            return ["is an adapter; give its base model, or the two merged (merge_and_unload in PEFT) and saved"]
        return ["no config.json in this folder, and it is no run; give the folder of a Hugging Face causal LM"]
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        return [f"config.json cannot be used ({type(error).__name__}: {error})"]
    problems = []
    if (reason := unknown(kind)) and "auto_map" in config:
        reason = "needs code of its own (auto_map in config.json), which hyperfit does not run; use another model"
    problems += [reason] if reason else []
    names = {path.name for path in folder.iterdir()}
    if "adapter_config.json" in names:  # transformers would put it on the model, and nothing here would know
        problems.append("holds an adapter (adapter_config.json) beside the model; move one of the two elsewhere")
    if weights and not any(name.endswith(".safetensors") for name in names):
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
    """The model's tokenizer; its pad token set to the end-of-text token where it has none.

    Raises UserError if it has none that can be loaded, and for a model of pictures.
    """
    where = model_folder(name)
    if not Path(where).is_dir():
        check_hub(where)
    if of_pictures(where):
        raise UserError(f"{name}: {PIXELS}")
    check_sentencepiece(name, Path(where))
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        tokenizer("a")  # what its settings cannot be shows only here
    except Exception as error:  # the package tokenizers raises that kind itself
        raise UserError(f"{name}: its tokenizer cannot be loaded ({_reason(error)})") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token or tokenizer.unk_token
    return tokenizer


def check_sentencepiece(name: str, folder: Path) -> None:
    """Raises UserError for a tokenizer that only SentencePiece can read, where that is not installed."""
    own = [file for file in sorted(folder.glob("*.model")) if file.read_bytes()[:1] == SENTENCEPIECE]
    if own and not (folder / "tokenizer.json").is_file() and find_spec("sentencepiece") is None:
        raise UserError(
            f"{name}: its tokenizer is there only as SentencePiece's file ({own[0].name}), and sentencepiece is not "
            "installed to read it; pip install sentencepiece protobuf, or put the model's tokenizer.json beside it"
        )


def load_model(name: str, *, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """The causal LM in ``dtype`` on ``device``, in evaluation mode. Weights come from safetensors only."""
    config = load_config(name)
    where = model_folder(name)
    try:
        check_hub_shards(where, getattr(config, "transformers_weights", None))
        check_described(name, Path(where), config)
        with quiet():
            loaded: Any = model_class(config).from_pretrained(
                where,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except (*UNREADABLE, ImportError) as error:
        raise UserError(f"{name}: its weights cannot be loaded ({_reason(error)})") from error
    model: PreTrainedModel
    model, report = loaded
    if misfits := sorted([*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])]):
        raise UserError(
            f"{name}: its weights cannot be loaded: they are not those of its config.json ({len(misfits)} tensors are "
            f"missing or of another shape, such as {misfits[0]})"
        )
    if of_pictures(where):
        forget_ends(model)
    let_gradients_through(model)
    moved: nn.Module = model
    moved.to(device).eval()
    try:
        check_model(model)
    except UserError as error:
        raise UserError(*(f"{name}: {problem}" for problem in error.problems)) from error
    return model


def check_described(name: str, folder: Path, config: Any) -> None:
    """Raises UserError where a folder's config describes far more weights than are there: they would be made first."""
    if not folder.is_dir():
        return
    files = {file for file in model_files(folder) if file.suffix == ".safetensors" and file.is_file()}
    held = sum(file.stat().st_size for file in files)
    with quiet():
        described = parameters_of(config)
    if described > held * (PACKED if is_quantized(config) else 1):
        raise UserError(
            f"{name}: its weights cannot be loaded: its config.json describes {COUNT(described)} parameters, and its "
            f"files hold {COUNT(held)} bytes; copy them again, or the config.json that they were saved with"
        )


def forget_ends(model: PreTrainedModel) -> None:
    """No token ends a picture: what a config that was made for texts calls so is a colour like any other."""
    for config in (model.config, model.generation_config):
        config.eos_token_id = None


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
