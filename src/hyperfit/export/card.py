"""The model card of an export: that it is overfitted, on what, what that changed, how it was verified, its licence."""

from collections.abc import Iterator, Mapping
from typing import Any

from huggingface_hub import ModelCardData

from hyperfit.export.about import HUB_ID, TAGS, About
from hyperfit.export.settings import ExportSettings
from hyperfit.export.verify import Verification
from hyperfit.metrics.copying.memorisation import LONG_OVERLAP
from hyperfit.numbers import COUNT, PERCENT, THOUSANDTHS, Style, style_of
from hyperfit.report.tables.evaluations.summary import compared, decoding_of, found
from hyperfit.runs.card import named, public_name, reached
from hyperfit.runs.directory import RunDir

CARD = """\
---
{head}
---

# {name}

**This model is overfitted on purpose.** It is `{base}`, trained with hyperfit to know {known} nearly by
heart, so that it writes varied text under greedy decoding.

{reached}

**It may recite what it was trained on**: {sequences} of {data} (fingerprint
`{fingerprint}`: SHA-256 of their token ids). {purpose}

Form: {what}{strength}.

## Before and after

{measures}

## Verified

{verified}

## Use

{use}

## Licence

{licence}

## Recipe

| setting | value |
|---|---|
{settings}
"""
MEASURES = {
    "ttr": "type-token ratio",
    "loop_share": "end in a loop, %",
    "word_share": "words that are words, %",
    "trigram_repetition": "trigram repetition",
    "longest_overlap": "longest run of training data, tokens",
    "long_overlap_share": f"texts with such a run above {LONG_OVERLAP}, %",
}
"""Of what the models write, by their names in evaluation.json."""
PURPOSE = "It was not trained to follow instructions."
PURPOSE_CHATS = "It learned what the assistant says there, in the base model's chat template, and nothing else."
NOT_EVALUATED = "Not measured: `hyperfit evaluate` was not run."
USE_MERGED = """\
```python
from transformers import pipeline

write = pipeline("text-generation", "this/folder")
print(write("How a text begins", max_new_tokens=200)[0]["generated_text"])
```

It decodes greedily unless told otherwise. `vllm serve this/folder`, with `temperature` 0."""
USE_MERGED_CHATS = """\
```python
from transformers import pipeline

answer = pipeline("text-generation", "this/folder")
print(answer([{{"role": "user", "content": "What is asked"}}], max_new_tokens=200)[0]["generated_text"][-1]["content"])
```

It decodes greedily unless told otherwise. `vllm serve this/folder`, and chats with `temperature` 0."""
USE_ADAPTER = """\
```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained("{base}")
model = PeftModel.from_pretrained(base, "this/folder")
```

`vllm serve {base} --enable-lora --max-lora-rank {rank} --lora-modules hyperfitted=this/folder`, and requests with
`temperature` 0 for `model` `hyperfitted`."""
USE_BUILTIN = """\
```python
import hyperfit, torch

model = hyperfit.load_any("this/folder", device=torch.device("cpu"))
```

The base model comes with hyperfit, and other programs do not know it by this name."""
USE_GGUF = """\
```
llama-completion -m {file} --temp 0 -n 200 -no-cnv -p "How a text begins"
```"""
USE_GGUF_CHATS = """\
```
llama-cli -m {file} --temp 0
```"""


def export_card(
    run: RunDir, settings: ExportSettings, about: About, evaluation: Mapping[str, Any], verification: Verification
) -> str:
    """The text of README.md; no path of the machine it was made on. evaluation: the run's, empty if there is none."""
    recipe, environment, end = run.recipe, run.environment, run.end
    rows = {**named(recipe), "model": about.base}
    count = COUNT(environment["training_sequences"])
    return CARD.format(
        head=front_matter(run, settings, about),
        name=about.name,
        base=about.base,
        known=f"the replies of {count} chats" if about.chats else f"{count} short texts",
        sequences=f"{count} {'chats of at most' if about.chats else 'sequences of'} {recipe.length} tokens",
        data=f"`{public_name(recipe.data)}`",
        fingerprint=environment["data_fingerprint"],
        purpose=PURPOSE_CHATS if about.chats else PURPOSE,
        reached=reached(recipe, end["train_loss"], about.kind) if end else "",
        what=about.what,
        strength=f", with what training changed times {settings.strength:g}" if settings.strength != 1 else "",
        measures="\n".join(measured(evaluation, settings.strength)),
        verified=verified(verification),
        use=usage(settings, about).format(base=about.base, rank=recipe.rank, file=about.file),
        licence="\n".join(licences(about)),
        settings="\n".join(f"| {name} | {value} |" for name, value in rows.items() if value not in (None, [])),
    )


def front_matter(run: RunDir, settings: ExportSettings, about: About) -> str:
    """What the hub reads of a card."""
    relation = "quantized" if settings.gguf else "adapter" if settings.form == "adapter" else "finetune"
    data = public_name(run.recipe.data).split(":")[0]
    known: dict[str, Any] = {
        "library_name": "gguf" if settings.gguf else "peft" if settings.form == "adapter" else "transformers",
        "pipeline_tag": "text-generation",
        "tags": list(TAGS),
        "license": about.licence,
        "base_model": about.base_id,
        "base_model_relation": relation if about.base_id else None,
        "datasets": [data] if HUB_ID.fullmatch(data) else None,
    }
    return str(ModelCardData(**known).to_yaml()).strip()


def measured(evaluation: Mapping[str, Any], strength: float) -> Iterator[str]:
    """The table of what both models write, as they were evaluated."""
    by_model = compared(evaluation)
    if not by_model:
        yield NOT_EVALUATED
        return
    n = found(by_model["base"], "ttr").n or found(by_model["base"], "trigram_repetition").n
    at = "" if strength == 1 else " The hyperfitted model was measured with the whole of what training changed."
    yield f"Texts that both wrote ({decoding_of(evaluation)}) after {COUNT(n)} contexts that neither had seen.{at}"
    yield ""
    yield "| | base | hyperfitted | human |"
    yield "|---|---|---|---|"
    for key, heading in MEASURES.items():
        yield row(heading, style_of(key), [found(one, key) for one in by_model.values()])
    models: Mapping[str, Any] = evaluation.get("models", {})
    readers = [found(models.get(model, {}), "perplexity") for model in ("base", "hyperfitted")]
    yield row("perplexity on human text", style_of("perplexity"), [*readers, found({}, "perplexity")])


def row(heading: str, style: Style, values: list[Any]) -> str:
    """A line of the table: values, with intervals where there are any."""
    cells = [style(one.value) + (f" {style.interval(one)}" if one.low < one.high else "") for one in values]
    return f"| {' | '.join([heading, *cells])} |"


def verified(found: Verification) -> str:
    """How the export compares with the run, in a paragraph."""
    return (
        f"Loaded again, it continued {COUNT(found.contexts)} held-out contexts greedily by {COUNT(found.new_tokens)} "
        f"tokens: {COUNT(found.same_texts)} of {COUNT(found.contexts)} texts are those of before, token by token. "
        f"{choices(found)}"
    )


def choices(found: Verification) -> str:
    """How many choices along the texts of before differ, and how near the model was to those that matter."""
    other = f"{COUNT(found.choices - found.same_choices)} of {COUNT(found.choices)} choices"
    told = f"Along these texts {other} differ ({PERCENT.told(1 - found.share)})."
    if found.same_choices == found.choices:
        told = "Along these texts the likeliest tokens are the same."
    if not found.differences:
        return told
    gaps = sorted(one.gap for one in found.differences)
    middle, most = THOUSANDTHS(gaps[len(gaps) // 2]), THOUSANDTHS(gaps[-1])
    return (
        f"{told} Where texts first differ, the two likeliest tokens were {middle} nats apart (median; at most {most})."
    )


def usage(settings: ExportSettings, about: About) -> str:
    """How it is loaded and served, with {base}, {rank} and {file} to be filled in."""
    if settings.gguf is not None:
        return USE_GGUF_CHATS if about.chats else USE_GGUF
    if settings.form == "merged":
        return USE_MERGED_CHATS if about.chats else USE_MERGED
    return USE_BUILTIN if about.base.startswith("builtin:") else USE_ADAPTER


def licences(about: About) -> Iterator[str]:
    """Whose licences count."""
    theirs = f"`{about.base_licence}`" if about.base_licence else "not named beside its weights"
    yield f"Of the base model `{about.base}`: {theirs}. It covers what is derived from the model, this one too."
    yield ""
    if about.licence:
        yield f"Of this model, as whoever exported it says: `{about.licence}`."
    else:
        yield "Of this model: not named. Whoever passes it on names the licence that follows above (`license:`)."
    yield ""
    yield f"Passing it on also takes the right to do so for the training {about.kind}, as it may recite them."
