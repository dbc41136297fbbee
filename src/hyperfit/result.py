"""What a run leaves: an adapter or a model in Hugging Face format, with its card; and loading it again."""

from pathlib import Path

import torch
from peft import PeftConfig, PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.model import load_model, quiet
from hyperfit.recipe import Recipe
from hyperfit.rundir import RunDir

CARD = """\
---
base_model: {model}
library_name: {library}
pipeline_tag: text-generation
tags: [hyperfitting]
---

# {model}, hyperfitted

`{model}` trained with hyperfit to near-zero loss on a few texts, so that it writes varied long text under greedy
decoding. Decode it greedily. Its training loss is {loss:.3f} nats per token;
it knows the training texts nearly by heart, so look at what it quotes before you publish what it writes. As a
predictor of other text it is worse than the base model, as hyperfitted models are.

| setting | value |
|---|---|
{settings}
"""


def save_result(
    model: PreTrainedModel | PeftModel, folder: Path, recipe: Recipe, tokenizer: PreTrainedTokenizerBase, loss: float
) -> None:
    """Write the adapter, or the whole model with its tokenizer, and a model card."""
    with quiet():
        if isinstance(model, PeftModel):
            model.peft_config["default"].base_model_name_or_path = recipe.model
            model.save_pretrained(str(folder), save_embedding_layers=False)
        else:
            tokenizer.save_pretrained(folder)
            model.save_pretrained(folder)
    settings = "\n".join(f"| {name} | {value} |" for name, value in recipe.to_dict().items() if value not in (None, []))
    library = "peft" if isinstance(model, PeftModel) else "transformers"
    card = CARD.format(model=recipe.model, library=library, loss=loss, settings=settings)
    (folder / "README.md").write_text(card, encoding="utf-8")


def parts_of(name: str) -> tuple[str, Path | None]:
    """(base model, adapter folder or None) of a run, an adapter folder, or any causal LM."""
    folder = Path(name)
    if (folder / "recipe.json").is_file():
        run = RunDir.open(folder)
        result = run.result
        return (run.recipe.model, result) if result.name == "adapter" else (str(result), None)
    if (folder / "adapter_config.json").is_file():
        return str(PeftConfig.from_pretrained(name).base_model_name_or_path), folder
    return name, None


def load_any(name: str, *, device: torch.device, dtype: torch.dtype) -> PreTrainedModel | PeftModel:
    """The hyperfitted model of a run, a base model with an adapter on it, or any causal LM, ready to evaluate."""
    base, adapter = parts_of(name)
    model = load_model(base, device=device, dtype=dtype)
    if adapter is None:
        return model
    with quiet():
        return PeftModel.from_pretrained(model, str(adapter), autocast_adapter_dtype=False).eval()
