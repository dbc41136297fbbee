"""One self-contained page of a mechanism study, and its plots as files."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from hyperfit.mechanism.layers.geometry import MEASURES
from hyperfit.mechanism.runners import DEPENDS, EVERYWHERE
from hyperfit.mechanism.settings import STUDIES, Study
from hyperfit.report.look import IN_FILE, IN_PAGE, Paint
from hyperfit.report.pages.run import MARKS, TEMPLATES, plain
from hyperfit.report.plots import layers as layer_plots
from hyperfit.report.plots import mechanism as plots
from hyperfit.report.plots.panels import style
from hyperfit.report.plots.placement import placement_panels
from hyperfit.report.plots.training import svg
from hyperfit.report.tables.exports import write_tables
from hyperfit.report.tables.mechanism import SOURCE, WARNINGS, comparison
from hyperfit.report.tables.placement import placement_tables
from hyperfit.report.tables.table import Sheet
from hyperfit.runs.files import writing

Draw = Callable[[dict[str, Any], Paint], Figure]
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
    wide: bool = False
    """Whether it takes the page's whole width."""


TITLES: dict[Study, str] = {
    "temperature": "Is it only a colder model?",
    "bias": "Are the promoted tokens enough?",
    "ranks": "From how deep do the choices come?",
    "geometry": "How do the hidden states change, layer by layer?",
    "lens": "What would each layer say?",
    "intervention": "Do the last layers cause the diversity?",
    "encouragement": "Do good tokens come to the top?",
    "placement": "Where to adapt?",
}
PLOTS: dict[Study, tuple[Plot, ...]] = {
    "temperature": (
        Plot("temperature-entropy", "Entropy of the base model by temperature, and the hyperfitted model's",
             plots.temperature_curve),
        Plot("temperature-ttr", "Type–token ratio of texts, 95 % intervals", plots.temperature_diversity),
    ),
    "bias": (Plot("bias", "Greedy texts of the base model with a static bias", plots.bias_curves),),
    "ranks": (Plot("ranks", "The hyperfitted model's choices under the base model", plots.rank_panels, None, True),),
    "geometry": (
        Plot("geometry-all", "Over all positions; squares lie after the final norm",
             layer_plots.geometry_panels, "all", True),
        Plot("geometry-behind-context", "Only behind the context; squares lie after the final norm",
             layer_plots.geometry_panels, "behind_context", True),
    ),
    "lens": (
        Plot("lens", "By block, on the hyperfitted model's own greedy texts", layer_plots.lens_summary, None, True),
        Plot("lens-text", "One text; the stronger the colour, the surer", layer_plots.lens_grid, "pictures", True),
    ),
    "intervention": (
        Plot("intervention", "Type–token ratio of altered models, 95 % intervals",
             plots.intervention_curves, None, True),
    ),
    "encouragement": (
        Plot("encouragement", "On held-out human text, 95 % intervals", plots.encouragement_panels, None, True),
    ),
    "placement": (
        Plot("placement", "Trainings that differ in what learns, 95 % intervals", placement_panels, None, True),
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


def save_plot(folder: Path, name: str, draw: Callable[[Paint], Figure]) -> None:
    """FOLDER/NAME.svg and .png."""
    with style(IN_FILE):
        figure = draw(IN_FILE)
        figure.savefig(folder / f"{name}.svg", facecolor="white", metadata={"Date": None})
        figure.savefig(folder / f"{name}.png", facecolor="white", dpi=DOTS)


def page(results: dict[str, Any]) -> str:
    """The page's HTML; all text from the models and texts is escaped."""
    figures: dict[Study, list[dict[str, Any]]] = {study: [] for study in results["studies"]}
    for study, plot, part in drawn(results):
        with style(IN_PAGE):
            shown = Markup(svg(plot.draw(part, IN_PAGE), plot.name, plot.caption))
        figures[study].append({"caption": plot.caption, "svg": shown, "wide": plot.wide})
    studies = [
        {
            "title": TITLES[study],
            "name": study,
            "sentence": results["studies"][study]["sentence"],
            "texts": results["studies"][study]["made_on"],
            "settings": asked(study, results["studies"][study]["made_with"]),
            "figures": figures[study],
            "comparison": comparison(study, results["studies"][study]),
            "warning": WARNINGS.get(study, ""),
            "sheets": tables(study, results["studies"][study]),
            "details": details(study, results["studies"][study]),
        }
        for study in STUDIES
        if study in results["studies"]
    ]
    return TEMPLATES.get_template("mechanism.html.j2").render(
        models={side: shortened(results["models"][side]) for side in ("base", "tuned")},
        blocks=results["models"]["blocks"],
        shared=results["models"]["shared_blocks"],
        studies=studies,
        source=SOURCE,
        settings={name: results["settings"][name] for name in ("device", "precision", "attention")},
        plain=plain,
        marks=MARKS,
    )


def tables(study: Study, found: dict[str, Any]) -> list[Sheet]:
    """The tables of a study."""
    return placement_tables(found) if study == "placement" else []


def shortened(name: str) -> str:
    """A model's name without the folders above it."""
    return Path(name).name if name.startswith(("/", ".", "~")) else name


def asked(study: Study, made_with: dict[str, Any]) -> dict[str, Any]:
    """The settings that a study was run with."""
    return {name: made_with[name] for name in (*EVERYWHERE, *DEPENDS[study])}


def details(study: Study, found: dict[str, Any]) -> list[tuple[str, str]]:
    """Lists and definitions that stand under a study."""
    if study == "bias":
        return [("most promoted tokens", listed(found["promoted"]))]
    if study == "ranks":
        return [
            *(
                (f"tokens chosen {more} often, in its own texts", listed([
                    f"{move['text']!r} {move['base']}→{move['tuned']}" for move in found["free_running"][key]
                ]))
                for more, key in (("more", "rising"), ("less", "falling"))
            ),
            ("word classes of the choices, base → hyperfitted, in its own texts", listed([
                f"{name} {percent(one['base'])}→{percent(one['tuned'])}, {percent(one['overridden'])} of them replaced"
                for name, one in found["free_running"]["classes"].items()
            ])),
            *(
                (f"rank {example['rank']:,}", f"“…{example['before']}” → {example['chosen']!r} "
                 f"(base: {example['displaced']!r})")
                for example in found["free_running"]["examples"][:5]
            ),
        ]  # fmt: skip
    if study == "geometry":
        return [
            (name, MEASURES[name]) for name in ("cosine", "l2", "relative_l2", "dim_base", "dim_tuned", "delta_dim")
        ]
    if study == "lens":
        return [
            (f"text before picture {place}", f"…{one['before']}")
            for place, one in enumerate(found["pictures"], start=1)
        ]
    return []


def percent(known: dict[str, Any]) -> str:
    """A share as people read it; – where it is undefined."""
    return "–" if known["value"] is None else f"{known['value']:.0%}"


def listed(words: list[str]) -> str:
    """Words in a row; "–" for none."""
    return " · ".join(words) or "–"
