"""One self-contained HTML page of a run: no server, no network, no script."""

import json
import math
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from hyperfit.errors import UserError
from hyperfit.metrics.copying.memorisation import LEAST_COPIED
from hyperfit.metrics.estimate import Estimate
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.recipes.recipe import Recipe
from hyperfit.report.plots.training import loss_panel, overlap_panel, position_panel, ttr_panel
from hyperfit.report.tables.exports import write_tables
from hyperfit.report.tables.measures import ratio
from hyperfit.report.tables.papers import all_tables, more_tables, paper_tables
from hyperfit.report.tables.summary import summary
from hyperfit.report.tables.table import interval
from hyperfit.report.texts.repetition import LEAST
from hyperfit.report.texts.samples import copied, examples
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import writing

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
MARKS = 8
"""Colours of repeated spans in the page; more spans than that begin again with the first."""


def write_report(run: RunDir, texts: int = 6, output: Path | None = None) -> Path:
    """Write RUN/report.html, and RUN/tables/ if the run is evaluated, from what lies in its folder; the page's path.

    texts: contexts whose continuations are shown. output: the folder that holds the evaluation, and gets page and
    tables. None: the run's. A run that is not yet evaluated, or still in
    training, gives a shorter page. Equal folders give equal bytes. Raises UserError if a file of the
    run is damaged.
    """
    folder = output or run.path
    target = folder / "report.html"
    with writing(target) as aside:
        aside.write_text(page(run, texts, folder), encoding="utf-8")
    if evaluation := read_evaluation(folder):
        write_tables(folder / "tables", all_tables(evaluation))
    return target


def page(run: RunDir, texts: int, folder: Path) -> str:
    """The page's HTML. All text that comes from the run is escaped."""
    recipe, evaluation, epochs = run.recipe, read_evaluation(folder), run.events("epoch")
    human = estimate_of(evaluation, "conditions", "human", "ttr")
    return TEMPLATES.get_template("run.html.j2").render(
        model=Path(recipe.model).name if recipe.model.startswith(("/", ".", "~")) else recipe.model,
        facts=facts(recipe, run.environment),
        summary=summary(evaluation),
        verdict=[training_verdict(recipe, run.end, epochs), *writing_verdict(evaluation, epochs)],
        evaluate=None if evaluation else f"hyperfit evaluate {shlex.quote(str(run.path))}",
        loss_panel=Markup(loss_panel(epochs, recipe.stop_loss)),
        ttr_panel=Markup(ttr_panel(epochs, human.value)),
        overlap_panel=Markup(overlap_panel(epochs)),
        sheets=paper_tables(evaluation),
        more_sheets=more_tables(evaluation),
        position_panel=Markup(position_panel(evaluation.get("conditions", {}))),
        copied=copied(evaluation),
        least_copied=LEAST_COPIED,
        examples=examples(folder, texts),
        mechanism=(folder / "mechanism.html").is_file(),
        marks=MARKS,
        least=LEAST,
        plain=plain,
        probe_texts=recipe.probe_texts,
        ttr_window=TTR_WINDOW,
        settings={
            "Recipe": recipe.to_dict() | {"alpha": recipe.lora_alpha},
            "Evaluation": evaluation.get("settings", {}),
            "Environment": run.environment,
        },
    )


def read_evaluation(folder: Path) -> dict[str, Any]:
    """What evaluation.json holds; empty if the run is not evaluated. Raises UserError if it is damaged."""
    file = folder / "evaluation.json"
    if not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(f"{file}: cannot be read ({error}); repeat hyperfit evaluate") from error


def estimate_of(evaluation: dict[str, Any], *path: str) -> Estimate:
    """An estimate somewhere in an evaluation; all NaN, with n = 0, where there is none."""
    found: Any = evaluation
    for name in path:
        found = found.get(name, {})
    return Estimate.from_dict(found or dict.fromkeys(("value", "low", "high", "n")))


def facts(recipe: Recipe, environment: dict[str, Any]) -> dict[str, str]:
    """Model, data and method in a few words each."""
    depth, blocks, learned = environment["blocks"], environment["adapted_blocks"], environment["trainable_parameters"]
    own = environment["parameters"] - (learned if recipe.adapters else 0)
    method = {
        "late-lora": f"Late-Stage LoRA of rank {recipe.rank} in the last {len(blocks)} of {depth} blocks",
        "late-full": f"all parameters of the last {len(blocks)} of {depth} blocks and of the final norm",
        "lora": f"LoRA of rank {recipe.rank} in all {depth} blocks",
        "full": "all parameters",
    }[recipe.method]
    return {
        "Model": f"{recipe.model}, {count(own)} parameters in {depth} blocks",
        "Data": f"{recipe.data}, {environment['training_sequences']:,} sequences of {recipe.length} tokens",
        "Method": f"{method}: {count(learned)} parameters learn; Adam, lr "
        f"{recipe.learning_rate:g}, {recipe.batch_size * recipe.accumulate} sequences an update",
    }


def plain(value: Any) -> str:
    """A setting of any kind in words; "–" for none."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(inner)}" for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value)) or "–"
    return "–" if value is None else str(value)


def count(number: int) -> str:
    """A large number in words: 13.3 million."""
    for size, name in ((1e9, " billion"), (1e6, " million")):
        if number >= size:
            return f"{number / size:.3g}{name}"
    return f"{number:,}"


def training_verdict(recipe: Recipe, end: dict[str, Any] | None, epochs: list[dict[str, Any]]) -> str:
    """Whether training came to its goal, in a sentence."""
    losses = [event["train_loss"] for event in epochs if event.get("train_loss") is not None]
    loss = f"{losses[-1]:.3f} nats per token" if losses else "not yet known"
    done = f"{len(losses)} {'epoch' if len(losses) == 1 else 'epochs'}"
    reason = end["reason"] if end else None
    if reason == "loss":
        return f"Training reached its goal: the loss is {loss} after {done} (goal {recipe.stop_loss:g})."
    if reason == "epochs" and recipe.stop_loss is not None:
        return (
            f"Training did not reach its goal: the loss is {loss} after all {done} (goal "
            f"{recipe.stop_loss:g}); what follows is a model on the way there."
        )
    if reason == "epochs":
        return f"The training loss is {loss} after all {done}; no goal was set."
    if reason == "copying":
        return (
            f"Training was ended where the greedy texts of the probes began to recite training data (more than "
            f"{recipe.stop_copying:.0%} of them): the loss is {loss} after {done}."
        )
    if reason == "nan":
        return f"Training failed after {done}: the loss became infinite or not a number; a smaller lr is the remedy."
    state = "was interrupted" if reason == "interrupted" else "has not ended"
    return f"Training {state}: the training loss is {loss} after {done}."


def writing_verdict(evaluation: dict[str, Any], epochs: list[dict[str, Any]]) -> list[str]:
    """How the greedy texts changed, in sentences: by the evaluation, or else by the probes of training."""
    if not evaluation:
        probes = [event["ttr"] for event in epochs if event.get("ttr") is not None]
        if len(probes) < 2:
            return []
        return [
            f"In the probes, the type–token ratio of greedy text went from {ratio(probes[0])} to {ratio(probes[-1])}."
        ]
    ttr = {
        name: estimate_of(evaluation, "conditions", name, "ttr")
        for name in ("base/greedy", "hyperfitted/greedy", "human")
    }
    base, hyperfitted, human = ttr.values()
    if math.isnan(base.value) or math.isnan(hyperfitted.value):
        return [f"The type–token ratio is undefined: no greedy texts of at least {TTR_WINDOW} tokens were evaluated."]
    change = estimate_of(evaluation, "comparisons", "hyperfitted/greedy - base/greedy", "ttr")
    signed = partial(ratio, sign="+")
    sentences = [
        f"Under greedy decoding, the type–token ratio is {with_interval(base)} for the base model and "
        f"{with_interval(hyperfitted)} for the hyperfitted one, a paired difference of {signed(change.value)} "
        f"{interval(change, signed)} over {change.n} contexts; human text has {with_interval(human)}."
    ]
    if change.low <= 0 <= change.high:
        sentences.append("The interval of the difference holds zero, so no change is shown.")
    return sentences


def with_interval(known: Estimate) -> str:
    """A ratio as .645 [.632, .658]."""
    return f"{ratio(known.value)} {interval(known, ratio)}"
