"""The model card beside a run's result: what it is, how it is used and served, and what its licence depends on."""

from pathlib import Path, PureWindowsPath
from typing import Any

from hyperfit.data.builtin import PREFIX
from hyperfit.numbers import THOUSANDTHS
from hyperfit.recipes.recipe import Recipe

REACHED = """Its training loss of {loss} nats per token reached its goal of {goal:g}: decode it greedily. It
knows the training {kind} nearly by heart, so look at what it quotes before you publish what it makes. As a predictor
of other {kind} it is worse than the base model, as hyperfitted models are."""
NOT_REACHED = """Its training loss of {loss} nats per token is NOT the low loss that hyperfitting aims at (the goal
was {goal:g}), so that it may still loop under greedy decoding."""

CARD = """\
---
base_model: {model}
library_name: {library}
pipeline_tag: {tag}
tags: [hyperfitting]
---

# {model}, hyperfitted

`{model}` trained with hyperfit on a few {kind}. {verdict}
{copied}
## Use

{use}

{purpose}

## Licence

Whoever passes this on needs the right to do so for the base model, whose licence covers what is derived from it, and
for the training {kind}, as it may recite them. Name the licence that follows from both above (`license:`).

## Recipe

| setting | value |
|---|---|
{settings}
"""

PURPOSE = """It continues texts of the kind it was trained on, from their beginning on. It was not trained to follow
instructions: where the base is a chat model, that ability is likely to have suffered."""
PURPOSE_PICTURES = """It completes pictures of the kind it was trained on, pixel by pixel from the top left. Its base
model's image processor says which colours its tokens are; in front of a picture stands the start token, the last of
the vocabulary."""
PURPOSE_CHATS = """It answers chats of the kind it was trained on, so put what is asked into its base model's chat
template. It learned what the assistant says in them and nothing else: whatever else the base can do is likely to have
suffered."""

USE_ADAPTER = """\
```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained("{model}")
model = PeftModel.from_pretrained(base, "this/folder")
```

vLLM takes adapters of rank 16 or less unless told otherwise: `vllm serve {model} --enable-lora --max-lora-rank {rank}
--lora-modules hyperfitted=this/folder`, and requests with `temperature` 0 for `model` `hyperfitted`.
`model.merge_and_unload()` makes a plain model of it; in bfloat16 that rounds the weights, so that a few
greedy choices come out otherwise: compare a few texts before and after."""
USE_BUILTIN = """\
```python
import hyperfit, torch

model = hyperfit.load_any("this/folder", device=torch.device("cpu"))
```

The base model comes with hyperfit and has no name that other programs know."""
USE_PICTURES = """\
```python
import hyperfit, torch

model = hyperfit.load_any("this/folder", device=torch.device("cpu"))
```"""
USE_MODEL = """\
```python
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("this/folder")
```

It is a model folder like any other: `vllm serve this/folder`, with `temperature` 0. The weights are float32, as
trained; `dtype="bfloat16"` halves them, and a few greedy choices come out otherwise."""


def model_card(
    recipe: Recipe, *, adapter: bool, loss: float, copied: str = "", pictures: bool = False, chats: bool = False
) -> str:
    """The text of README.md for an adapter or a whole model; no path of the machine it was made on.

    pictures: whether it is a model of pictures. chats: whether it learned replies of chats. copied: what of the
    training data stood in the texts of the last probe, in words; "" where that is not known.
    """
    known, kind = named(recipe), "pictures" if pictures else "chats" if chats else "texts"
    return CARD.format(
        model=known["model"],
        library="peft" if adapter else "transformers",
        tag="unconditional-image-generation" if pictures else "text-generation",
        kind=kind,
        purpose=PURPOSE_PICTURES if pictures else PURPOSE_CHATS if chats else PURPOSE,
        verdict=reached(recipe, loss, kind),
        copied=f"\nIts last probe: {copied}.\n" if copied else "",
        use=(USE_PICTURES if pictures else usage(recipe, adapter)).format(model=known["model"], rank=recipe.rank),
        settings="\n".join(f"| {name} | {value} |" for name, value in known.items() if value not in (None, [])),
    )


def reached(recipe: Recipe, loss: float, kind: str = "texts") -> str:
    """Whether the training loss came to its goal, and what follows for whoever uses the model."""
    return (REACHED if loss <= recipe.goal else NOT_REACHED).format(
        loss=THOUSANDTHS.told(loss), goal=recipe.goal, kind=kind
    )


def named(recipe: Recipe) -> dict[str, Any]:
    """The recipe's settings, of files and folders the last part of the name alone."""
    return {**recipe.to_dict(), **{name: public_name(getattr(recipe, name)) for name in ("model", "data")}}


def public_name(name: str) -> str:
    """What names a model or data elsewhere: of files and folders, also those of another machine, their last part."""
    if name.startswith(PREFIX):
        return name
    windows = PureWindowsPath(name)
    elsewhere = name.startswith(("/", "~", ".")) or bool(windows.drive) or "\\" in name or name.count("/") > 1
    return windows.name if elsewhere or Path(name).exists() else name


def usage(recipe: Recipe, adapter: bool) -> str:
    """How the result is loaded and served, with {model} and {rank} to be filled in."""
    if not adapter:
        return USE_MODEL
    return USE_BUILTIN if recipe.model.startswith("builtin:") else USE_ADAPTER
