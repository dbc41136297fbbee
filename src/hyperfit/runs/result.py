"""What a run leaves: an adapter or a model in Hugging Face format, with its card; and loading it again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.errors import UserError
from hyperfit.models.adapt import adapt, round_frozen
from hyperfit.models.devices import pick_device
from hyperfit.models.files.weights import weights_fingerprint
from hyperfit.models.loading import load_model, quiet
from hyperfit.models.strength import scale_change
from hyperfit.recipes.recipe import Precision, Recipe
from hyperfit.runs.adapter import CONFIG, WEIGHTS, adapter_config, with_adapter
from hyperfit.runs.card import model_card
from hyperfit.runs.directory import RunDir


class Saved(Protocol):
    """What makes tokens of text, or of pictures, and can be written into a model's folder."""

    def save_pretrained(self, folder: Path, /) -> Any:
        """Write it there."""


def save_result(
    model: PreTrainedModel | PeftModel,
    folder: Path,
    recipe: Recipe,
    tokenizer: Saved,
    loss: float,
    copied: str = "",
    learned: Mapping[str, Tensor] | None = None,
    *,
    chats: bool = False,
) -> None:
    """Write the adapter, or the whole model with what makes its tokens, and a model card that says what was reached.

    copied: a sentence without its end on what of the training data the last probe's texts held, if any were written.
    learned: what has learnt, by name, of a model that is divided among processes; None: it is in the model.
    chats: whether it learned what the assistant says in chats.
    """
    with quiet():
        if isinstance(model, PeftModel):
            model.peft_config["default"].base_model_name_or_path = recipe.model
            model.save_pretrained(str(folder), save_embedding_layers=False)
            sort_modules(folder / CONFIG)
        else:
            tokenizer.save_pretrained(folder)
            whole(model, recipe, learned).save_pretrained(folder)
    card = model_card(
        recipe,
        adapter=isinstance(model, PeftModel),
        loss=loss,
        copied=copied,
        pictures=not isinstance(tokenizer, PreTrainedTokenizerBase),
        chats=chats,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def sort_modules(file: Path) -> None:
    """Write the names of adapted layers in order: PEFT holds them in a set, so that equal adapters gave other bytes."""
    config = json.loads(file.read_text(encoding="utf-8"))
    config["target_modules"] = sorted(config["target_modules"] or [])
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def whole(model: PreTrainedModel, recipe: Recipe, learned: Mapping[str, Tensor] | None) -> PreTrainedModel:
    """The trained model in fp32; where only its last blocks learnt, with the base's own weights in all other places.

    There training holds them rounded to bfloat16, or not at all (``--streaming``).
    """
    if learned is None and recipe.method != "late-full":
        return model
    if learned is None:
        learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    base = load_model(recipe.model, device=torch.device("cpu"), dtype=torch.float32)
    base.load_state_dict(learned, strict=False)
    return base


def is_run(name: str) -> bool:
    """Whether what a user names as a model is the folder of a run."""
    return (Path(name) / "recipe.json").is_file()


def parts_of(name: str) -> tuple[str, Path | None]:
    """(base model, adapter folder or None) of a run, an adapter folder, or any causal LM."""
    folder = Path(name)
    if is_run(name):
        run = RunDir.open(folder)
        result = run.result
        return (run.recipe.model, result) if result.name == "adapter" else (str(result), None)
    if (folder / CONFIG).is_file():
        return str(adapter_config(folder, name).base_model_name_or_path), folder
    return name, None


def base_argument(argument: str, name: str) -> str:
    """What names the base model of ``parts_of`` in a message: the argument it was given by, or what was given."""
    return argument if parts_of(name)[0] == name else f"{argument} {name}, its base model"


def same_base(run: RunDir, base: str | None = None) -> bool:
    """Whether a run's base model, or what is loaded in its place, has the weights it had when the run was started.

    True for runs of versions that did not record them. Raises UserError if its files are damaged or gone.
    """
    known = run.environment.get("weights_fingerprint")
    return known is None or known == weights_fingerprint(base or run.recipe.model)


def check_base(run: RunDir, base: str | None = None) -> None:
    """Raises UserError unless ``same_base``: an adapter on other weights, or a comparison with them, looks like any."""
    if not same_base(run, base):
        raise UserError(
            f"{base or run.recipe.model}: its weights are not those that {run.path} was trained on; restore them, or "
            "train again in a new --output"
        )


def check_adapter(base: str, adapter: Path | None) -> None:
    """``check_base`` for what ``parts_of`` gives; an adapter that lies in no run says nothing of its base's weights."""
    if adapter is not None and is_run(str(adapter.parent)):
        check_base(RunDir.open(adapter.parent), base)


def load_any(
    name: str | Path, *, device: torch.device | str = "auto", precision: Precision = "fp32", strength: float = 1.0
) -> PreTrainedModel | PeftModel:
    """The hyperfitted model of a run, a base model with an adapter on it, or any causal LM, frozen, ready to evaluate.

    device: auto is the accelerator, if there is one. precision: fp32, or bf16 for use under autocast as in training:
    what was frozen in bf16, what has learnt (adapter, last blocks or all) in fp32. strength: how much of what training
    changed is in force (``scale_change``). Raises UserError for what cannot be loaded, for a run's adapter whose base
    model has changed since, and for a strength of a model of which no base is known.
    """
    name, device = str(name), pick_device(str(device))
    model = _load(name, device, precision)

    def base() -> PreTrainedModel | None:
        return load_model(RunDir(Path(name)).recipe.model, device=device, dtype=torch.float32) if is_run(name) else None

    scale_change(model, strength, base)
    return model


def _load(name: str, device: torch.device, precision: Precision) -> PreTrainedModel | PeftModel:
    base, adapter = parts_of(name)
    check_adapter(base, adapter)
    if adapter is not None and not (adapter / WEIGHTS).is_file():
        raise UserError(f"{adapter}: {WEIGHTS} is missing; copy it there, or train again")
    trained = RunDir(Path(name)) if adapter is None and is_run(name) else None
    dtype = torch.bfloat16 if precision == "bf16" and trained is None else torch.float32
    model = load_model(base, device=device, dtype=dtype)
    if trained is not None and precision == "bf16":
        adapt(model, trained.recipe)
        round_frozen(model)
    if adapter is None:
        return model.requires_grad_(False)
    return with_adapter(model, adapter, base)
