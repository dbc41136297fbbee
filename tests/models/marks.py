"""What holds of a model type, tried on a tiny random model of it: one mark for each promise."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from zoo import BLOCKS, build, tiny_config

from hyperfit.errors import UserError
from hyperfit.generation.continuations import continue_contexts
from hyperfit.models.adapt import adapt, learning
from hyperfit.models.files.classes import refusal
from hyperfit.models.loading import quiet
from hyperfit.models.structure.causal import check_model
from hyperfit.models.structure.experts import compute_apart
from hyperfit.models.structure.layout import inner_model, layout_of
from hyperfit.models.targets import experts_in
from hyperfit.prefix.bypass import frozen_blocks, obstacle
from hyperfit.prefix.cache_prefix import cache_prefix
from hyperfit.recipes.recipe import Recipe
from hyperfit.training.loss import SequenceLoss
from tiny_models import random_ids, tiny_tokenizer

LATE = 2
LENGTH = 16
"""Makes batches of multiples of 32 tokens: in others a gate of one number a token rounds by place (docs/models.md)."""


@dataclass(frozen=True)
class Marks:
    """yes, or in a few words why not."""

    found: str
    """Blocks, norm and head are found and checked, and the loss is that of transformers."""
    generates: str
    """In a batch as alone."""
    adapters: str
    """Late-Stage LoRA learns in the late blocks alone, and comes back from a file."""
    prefix: str
    """Loss and gradients above cached blocks are those of the whole model, bit for bit."""
    blocks: str = ""
    experts: str = ""
    """Whether experts that are held as one tensor learn."""


def marks_of(kind: str, folder: Path) -> Marks:
    """Build the type's tiny model and try everything on it; files go into the folder. What fails is a mark, too."""
    try:
        return tried(kind, folder)
    except Exception as error:
        return Marks(f"fails: {type(error).__name__}: {str(error).splitlines()[0]}", "", "", "")


def tried(kind: str, folder: Path) -> Marks:
    """The marks of a type whose code runs."""
    if reason := refusal(tiny_config(kind)):
        return Marks(reason, "", "", "")
    model = build(kind)
    try:
        check_model(model)
    except UserError as error:
        return Marks(str(error), "", "", "")
    ids = random_ids(8, LENGTH, seed=1) % 250 + 1  # the last few tokens may stand for images
    found = same_loss(model, ids)
    try:
        generates = "yes" if as_alone(model) else "differs in a batch"
    except (ValueError, RuntimeError) as error:  # of the family's own code
        generates = f"cannot: {str(error).splitlines()[0]}"
    fused = bool(experts_in(model, range(BLOCKS - LATE, BLOCKS)))
    recipe = Recipe(model=kind, data="-", late_blocks=LATE, rank=2)
    try:
        adapted = adapt(model, recipe).eval()
    except UserError as error:
        whole = adapt(model, replace(recipe, method="late-full")).eval()
        return Marks(found, generates, str(error), prefix(whole, ids, folder), layout_of(model).blocks)
    assert isinstance(adapted, PeftModel)
    experts = "" if not fused else "no" if learning(adapted).frozen_experts else "yes"
    adapters = lora(adapted, kind, ids, folder)
    return Marks(found, generates, adapters, prefix(adapted, ids, folder), layout_of(model).blocks, experts)


def same_loss(model: PreTrainedModel, ids: Tensor) -> str:
    """Whether ours is the loss that the model computes itself if it is given labels, and that of its logits."""
    with torch.no_grad():
        total, _ = SequenceLoss(model, torch.no_grad)(ids)
        ours = total / (ids.numel() - len(ids))
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
        plain = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        try:
            theirs = model(input_ids=ids, labels=ids, use_cache=False).loss.float()
        except ValueError:  # a family whose loss wants an image
            theirs = plain
    if not torch.allclose(ours, plain, rtol=1e-4, atol=1e-5):
        return "the loss is another"
    if torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5):
        return "yes"
    return "yes; its own loss does not shift labels" if unshifted(model, ids, theirs) else "its own loss is another"


def unshifted(model: PreTrainedModel, ids: Tensor, loss: Tensor) -> bool:
    """Whether the model's own loss takes labels for the tokens of their own positions."""
    logits = model(input_ids=ids, use_cache=False).logits.float()
    return torch.allclose(F.cross_entropy(logits.flatten(0, 1), ids.flatten()), loss, rtol=1e-4, atol=1e-5)


def as_alone(model: PreTrainedModel) -> bool:
    """Whether contexts of two lengths, continued together, are continued as each alone."""
    contexts = [random_ids(5, seed=2).tolist(), random_ids(8, seed=3).tolist()]
    tokenizer: PreTrainedTokenizerFast = tiny_tokenizer()
    together = continue_contexts(model, tokenizer, contexts, new_tokens=6)
    return list(together) == [
        continue_contexts(model, tokenizer, [one], new_tokens=6, batch_size=1)[0] for one in contexts
    ]


def lora(adapted: PeftModel, kind: str, ids: Tensor, folder: Path) -> str:
    """Whether only the late blocks learn, and the adapter comes back from a file."""
    if learning(adapted).blocks != tuple(range(BLOCKS - LATE, BLOCKS)):
        return f"learn in blocks {learning(adapted).blocks}"
    above = layout_of(inner_model(adapted)).above(BLOCKS - LATE)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                if not any(f".{path}." in name for path in above):
                    return f"{name} learns"
                parameter.normal_(std=0.2, generator=torch.Generator().manual_seed(5))
        before = adapted(input_ids=ids, use_cache=False).logits
        with adapted.disable_adapter():
            if torch.allclose(adapted(input_ids=ids, use_cache=False).logits, before, atol=1e-4):
                return "change nothing"
        with quiet():
            adapted.save_pretrained(str(folder), save_embedding_layers=False)
            again = PeftModel.from_pretrained(build(kind), str(folder)).eval()
        return (
            "yes"
            if torch.allclose(again(input_ids=ids, use_cache=False).logits, before, atol=1e-5)
            else "are lost in the file"
        )


def prefix(adapted: PeftModel | PreTrainedModel, ids: Tensor, folder: Path) -> str:
    """Whether the cache gives the same bits, in loss and gradients."""
    if reason := obstacle(adapted, frozen_blocks(adapted)):
        return reason
    compute_apart(inner_model(adapted), ids.numel())
    loss = SequenceLoss(adapted, torch.enable_grad)
    learned = [parameter for parameter in adapted.parameters() if parameter.requires_grad]

    def found() -> list[Tensor | None]:
        total, part = loss(ids[1::2], share=0.01)  # other texts together than when the cache was filled
        return [total, *torch.autograd.grad(part, learned, allow_unused=True)]

    want = found()
    try:
        with cache_prefix(adapted, ids, folder / "cache", batch_size=len(ids) // 2, notify=lambda line: None) as cache:
            got = found()
            if not cache.served:
                return "the cache is not asked"
    except UserError as error:
        return str(error)
    same = all(
        one is other if one is None or other is None else torch.equal(one, other)
        for one, other in zip(want, got, strict=True)
    )
    return "yes" if same else "other bits"
