"""What learns: everything, the last blocks whole, LoRA in every block, or LoRA in the last blocks (Late-Stage)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from hyperfit.errors import UserError
from hyperfit.models.files.quantized import count_of
from hyperfit.models.loading import quiet
from hyperfit.models.structure.layout import blocks_of, inner_model, layout_of, under
from hyperfit.models.targets import experts_in, lora_config
from hyperfit.numbers import COUNT, PERCENT
from hyperfit.recipes.defaults import default_late_blocks
from hyperfit.recipes.recipe import Recipe


@dataclass(frozen=True)
class Learning:
    """What a model's training changes."""

    blocks: tuple[int, ...]
    """Blocks with trainable parameters, counted from 0."""
    depth: int
    """Blocks of the model."""
    trainable: int
    """Trainable parameters."""
    total: int
    """Parameters of the model itself, each once, without adapters: the number that a model is known by."""
    adapters: bool = False
    """Whether what learns is adapters, beside the model's own parameters."""
    frozen_experts: bool = False
    """Whether these blocks have experts, held as one tensor, that do not learn."""

    def describe(self) -> str:
        """One line for people."""
        spread = spans(self.blocks) or "none"
        share = PERCENT.told(self.trainable / self.total)
        what = f"{COUNT(self.trainable)} of {COUNT(self.total)} parameters ({share})"
        if self.adapters:
            what = f"adapters of {COUNT(self.trainable)} parameters beside the model's {COUNT(self.total)}"
        experts = "; their experts do not learn" if self.frozen_experts else ""
        return f"learning: blocks {spread} of 0–{self.depth - 1}, {what}{experts}"


def spans(numbers: Sequence[int]) -> str:
    """Rising whole numbers with each run of neighbours as one span: "0–2, 5, 7–8"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}–{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


def late_stage_lora_config(
    model: PreTrainedModel,
    blocks: int = 5,
    *,
    rank: int = 64,
    alpha: float | None = None,
    target_modules: tuple[str, ...] = (),
) -> LoraConfig:
    """A PEFT LoraConfig for the last ``blocks`` blocks of a model: plain LoRA, no dropout, no modules_to_save.

    target_modules: names of the linear layers to adapt; empty for all those of the blocks. alpha:
    None for the rank (scale 1). Raises UserError for a depth or layers the model does not have.
    """
    return lora_config(model, last_blocks(model, blocks), rank=rank, alpha=alpha, target_modules=target_modules)


def last_blocks(model: PreTrainedModel, count: int) -> range:
    """The last blocks, counted from 0. Raises UserError if the model does not have so many."""
    depth = len(blocks_of(model))
    if not 1 <= count <= depth:
        raise UserError(f"--late-blocks {count}: the model has {depth} blocks; give 1 to {depth}")
    return range(depth - count, depth)


def late_parameters(model: PreTrainedModel, count: int) -> dict[str, nn.Parameter]:
    """All parameters of the last ``count`` blocks and of the final norm, by name; none of the embedding or the head."""
    layout = layout_of(model)
    late = layout.above(last_blocks(model, count).start)
    apart = {*model.get_submodule(layout.embedding).parameters(), *model.get_submodule(layout.head).parameters()}
    return {name: one for name, one in model.named_parameters() if under(name, late) and one not in apart}


def adapt(model: PreTrainedModel, recipe: Recipe) -> PreTrainedModel | PeftModel:
    """Freeze what does not learn and add what does, held in fp32; adapters start as the seed says."""
    module: nn.Module = model
    late = recipe.late_blocks or default_late_blocks(len(blocks_of(model)))
    if recipe.method == "full":
        module.float().requires_grad_(True)
        return model
    if recipe.method == "late-full":
        module.requires_grad_(False)
        for parameter in late_parameters(model, late).values():
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)
        return model
    torch.manual_seed(recipe.seed)
    if recipe.method == "lora":
        config = lora_config(
            model,
            recipe.blocks or range(len(blocks_of(model))),
            rank=recipe.rank,
            alpha=recipe.lora_alpha,
            target_modules=recipe.target_modules,
        )
    else:
        config = late_stage_lora_config(
            model, late, rank=recipe.rank, alpha=recipe.lora_alpha, target_modules=recipe.target_modules
        )
    with quiet():
        return get_peft_model(model, config, autocast_adapter_dtype=True)


def round_frozen(model: PreTrainedModel | PeftModel) -> None:
    """Hold what does not learn in bfloat16 from now on, as a model computes with it under autocast."""
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16()


def check_depth(recipe: Recipe, depth: int) -> None:
    """Raises UserError if the recipe trains more blocks than the model has: known before weights are read."""
    if recipe.late and recipe.late_blocks is not None and recipe.late_blocks > depth:
        raise UserError(f"--late-blocks {recipe.late_blocks}: {recipe.model} has {depth} blocks; give 1 to {depth}")
    if absent := sorted({block for block in recipe.blocks if block >= depth}):
        raise UserError(f"--blocks {' '.join(map(str, absent))}: {recipe.model} has the blocks 0 to {depth - 1}")


def learning(model: PreTrainedModel | PeftModel) -> Learning:
    """Count what learns in a model that has been adapted."""
    inner = inner_model(model)
    blocks = blocks_of(inner)
    learn = tuple(index for index, block in enumerate(blocks) if any(p.requires_grad for p in block.parameters()))
    adapters: Any = model.peft_config["default"] if isinstance(model, PeftModel) else None
    experts = {path.replace(".base_layer", "") for path in experts_in(inner, learn)}  # as PEFT was told of them
    return Learning(
        blocks=learn,
        depth=len(blocks),
        frozen_experts=adapters is not None and not experts <= {*(adapters.target_parameters or ())},
        trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
        total=sum(count_of(p) for name, p in model.named_parameters() if adapters is None or ".lora_" not in name),
        adapters=adapters is not None,
    )
