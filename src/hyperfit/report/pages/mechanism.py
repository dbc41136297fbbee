"""One self-contained page of a mechanism study, and its plots as files."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from hyperfit.mechanism.layers.geometry import MEASURES
from hyperfit.mechanism.runners import DEPENDS, EVERYWHERE
from hyperfit.mechanism.settings import STUDIES, Study
from hyperfit.numbers import COUNT, PERCENT
from hyperfit.report.harmless import harmless
from hyperfit.report.look import IN_FILE, IN_PAGE, Paint
from hyperfit.report.pages.templates import MARKS, TEMPLATES, isolated, plain
from hyperfit.report.pages.tokens import context_shown, quoted, token_shown
from hyperfit.report.plots import layers as layer_plots
from hyperfit.report.plots import mechanism as plots
from hyperfit.report.plots.marks import value
from hyperfit.report.plots.panels import Panel, style
from hyperfit.report.plots.placement import placement_panels
from hyperfit.report.plots.values import shown
from hyperfit.report.tables.exports import write_tables
from hyperfit.report.tables.mechanism.answers import LEAST_TEXTS, QUESTIONS, RULES, answer
from hyperfit.report.tables.mechanism.figures import SOURCE, WARNINGS, comparison
from hyperfit.report.tables.mechanism.placement import placement_tables
from hyperfit.report.tables.table import Sheet
from hyperfit.runs.files import writing

Draw = Callable[[dict[str, Any], Paint], list[Panel]]
DOTS = 160
"""Of a PNG, per inch."""


@dataclass(frozen=True)
class Plot:
    """One figure of a study."""

    name: str
    """Of its files, and of its ids in the page."""
    caption: str
    draw: Draw
    part: str | None = None
    """The part of the study's result that is drawn, each of them if it is a list; None for all of it."""
    text: bool = False
    """Whether it is text, which the page has as a table of its own."""


PLOTS: dict[Study, tuple[Plot, ...]] = {
    "temperature": (
        Plot("temperature-entropy", "Of the base model by temperature, and the hyperfitted model's",
             plots.temperature_curve),
        Plot("temperature-ttr", "Of the texts of each decoding, 95 % intervals", plots.temperature_diversity),
    ),
    "bias": (Plot("bias", "Greedy texts of the base model with a static bias", plots.bias_curves),),
    "ranks": (Plot("ranks", "The hyperfitted model's choices under the base model", plots.rank_panels),),
    "geometry": (
        Plot("geometry-all", "Over all positions; hollow marks lie after the final norm",
             layer_plots.geometry_panels, "all"),
        Plot("geometry-behind-context", "Only behind the context; hollow marks lie after the final norm",
             layer_plots.geometry_panels, "behind_context"),
    ),
    "lens": (
        Plot("lens", "By block, on the hyperfitted model's own greedy texts", layer_plots.lens_summary),
        Plot("lens-text", "One text; the stronger the colour, the surer", layer_plots.lens_grid, "pictures", text=True),
    ),
    "intervention": (
        Plot("intervention", "Type–token ratio of altered models, 95 % intervals",
             plots.intervention_curves),
    ),
    "encouragement": (
        Plot("encouragement", "On held-out human text, 95 % intervals", plots.encouragement_panels),
    ),
    "placement": (
        Plot("placement", "Trainings that differ in what learns, 95 % intervals", placement_panels),
    ),
}  # fmt: skip


def write_mechanism_page(folder: Path, results: dict[str, Any]) -> Path:
    """Write FOLDER/mechanism.html, FOLDER/plots/*.svg and *.png, and FOLDER/tables/*.csv and *.tex; the page's path.

    Equal results give equal bytes of the page and of the SVG files.
    """
    with writing(folder / "plots") as aside:
        aside.mkdir()
        for _, plot, part in drawn(results):
            save_plot(aside, plot.name, partial(plot.draw, part))
    if "placement" not in results["studies"]:
        for file in (folder / "tables").glob("placement*"):
            file.unlink()
    for study in results["studies"]:
        write_tables(folder / "tables", tables(study, results["studies"][study]))
    target = folder / "mechanism.html"
    with writing(target) as aside:
        aside.write_text(page(results), encoding="utf-8")
    return target


def drawn(results: dict[str, Any]) -> list[tuple[Study, Plot, dict[str, Any]]]:
    """(study, plot, what it draws) of every plot of the studies that are there; those of a list's parts numbered."""
    found: list[tuple[Study, Plot, dict[str, Any]]] = []
    for study in (study for study in STUDIES if study in results["studies"]):
        for plot in PLOTS[study]:
            part = results["studies"][study][plot.part] if plot.part else results["studies"][study]
            if isinstance(part, list):
                found += [(study, replace(plot, name=f"{plot.name}-{i}"), one) for i, one in enumerate(part, start=1)]
            else:
                found.append((study, plot, part))
    return found


def save_plot(folder: Path, name: str, draw: Callable[[Paint], list[Panel]]) -> None:
    """FOLDER/NAME.svg and .png."""
    with style(IN_FILE):
        for panel in (drawn := draw(IN_FILE)):
            panel.finish()
        figure = drawn[0].figure
        figure.savefig(folder / f"{name}.svg", facecolor="white", metadata={"Date": None})
        figure.savefig(folder / f"{name}.png", facecolor="white", dpi=DOTS)


def page(results: dict[str, Any]) -> str:
    """The page's HTML; all text from the models and texts is escaped, isolated and without control characters."""
    studies = [
        {
            "question": QUESTIONS[study],
            "name": study,
            "answer": answer(study, found, results["models"]),
            "rule": RULES[study],
            "sentence": harmless(found["sentence"]),
            "texts": found["made_on"],
            "settings": asked(study, found["made_with"]),
            "groups": groups(study, results),
            "pictures": [picture(one) for one in found.get("pictures", ())],
            "comparison": [] if "picture" in found["made_on"] else comparison(study, found),
            "warning": WARNINGS.get(study, ""),
            "sheets": tables(study, found),
            "details": details(study, found),
        }
        for study, found in results["studies"].items()
        if study in STUDIES
    ]
    return TEMPLATES.get_template("mechanism.html.j2").render(
        models={side: harmless(shortened(results["models"][side])) for side in ("base", "tuned")},
        blocks=results["models"]["blocks"],
        shared=results["models"]["shared_blocks"],
        studies=studies,
        source=SOURCE,
        least=LEAST_TEXTS,
        settings={name: results["settings"][name] for name in ("device", "precision", "attention")},
        isolated=lambda value: isolated(plain(value)),
        marks=MARKS,
    )


def groups(study: Study, results: dict[str, Any]) -> list[dict[str, Any]]:
    """The study's figures as they stand on the page: those of several panels with a caption above all."""
    found: list[dict[str, Any]] = []
    for of, plot, part in drawn(results):
        if of != study or plot.text:
            continue
        with style(IN_PAGE):
            panels = plot.draw(part, IN_PAGE)
            figures = [
                {
                    "title": panel.title,
                    "caption": "" if len(panels) > 1 else plot.caption,
                    "shown": shown(panel, f"{plot.name}-{place}", f"{panel.title}. {plot.caption}"),
                }
                for place, panel in enumerate(panels, start=1)
            ]
        if len(panels) > 1:
            found.append({"caption": plot.caption, "figures": figures})
            continue
        if not found or found[-1]["caption"]:
            found.append({"caption": "", "figures": []})
        found[-1]["figures"] += figures
    return found


def picture(found: dict[str, Any]) -> dict[str, Any]:
    """What each layer of both sides would say, for a table: (point, (token, probability) of each position)."""
    return {
        "before": context_shown(found["before"]),
        "written": [token_shown(token) for token in found["written"]],
        "sides": {
            name: [
                (point, [(token_shown(token), sure) for token, sure in zip(*row, strict=True)])
                for point, *row in zip(found["points"], found[side]["tokens"], found[side]["probability"], strict=True)
            ]
            for name, side in (("base", "base"), ("hyperfitted", "tuned"))
        },
    }


def tables(study: Study, found: dict[str, Any]) -> list[Sheet]:
    """The tables of a study."""
    return placement_tables(found) if study == "placement" else []


def shortened(name: str) -> str:
    """A model's name without the folders above it."""
    return Path(name).name if name.startswith(("/", ".", "~")) else name


def asked(study: Study, made_with: dict[str, Any]) -> dict[str, Any]:
    """The settings that a study was run with."""
    return {name: made_with[name] for name in (*EVERYWHERE, *DEPENDS[study])}


def details(study: Study, found: dict[str, Any]) -> list[tuple[str, Markup | str]]:
    """Lists and definitions that stand under a study."""
    if study == "bias":
        return [("most promoted tokens", listed(map(quoted, found["promoted"])))]
    if study == "ranks":
        return [
            *(
                (f"tokens chosen {more} often, in its own texts", listed(
                    Markup("{} {}→{}").format(quoted(move["text"]), move["base"], move["tuned"])
                    for move in found["free_running"][key]
                ))
                for more, key in (("more", "rising"), ("less", "falling"))
            ),
            *([("word classes of the choices, base → hyperfitted, in its own texts", listed(
                Markup("{} {}→{}, {} of them replaced").format(
                    name, *(PERCENT.told(value(one[part])) for part in ("base", "tuned", "overridden"))
                )
                for name, one in found["free_running"]["classes"].items()
            ))] if found["free_running"]["classes"] else []),
            *(
                (f"rank {COUNT(example['rank'])}", Markup("“…{}” → {} (base: {})").format(
                    context_shown(example["before"]), quoted(example["chosen"]), quoted(example["displaced"])
                ))
                for example in found["free_running"]["examples"][:5]
            ),
        ]  # fmt: skip
    if study == "geometry":
        return [
            (name, MEASURES[name]) for name in ("cosine", "l2", "relative_l2", "dim_base", "dim_tuned", "delta_dim")
        ]
    return []


def listed(words: Iterable[Markup]) -> Markup:
    """Words in a row; "–" for none."""
    return Markup(" · ").join(words) or Markup("–")
