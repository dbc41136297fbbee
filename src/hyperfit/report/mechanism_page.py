"""One self-contained page of a mechanism study, and its plots as files."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from hyperfit.mechanism.geometry import MEASURES
from hyperfit.mechanism.inquiry import STUDIES, Study
from hyperfit.report import mechanism_plots as plots
from hyperfit.report.curves import svg
from hyperfit.report.exports import write_tables
from hyperfit.report.mechanism_papers import SOURCE, WARNINGS, comparison
from hyperfit.report.page import MARKS, TEMPLATES, plain
from hyperfit.report.placement_plots import placement_panels
from hyperfit.report.placement_table import placement_tables
from hyperfit.report.plotting import IN_FILE, IN_PAGE, Paint, style
from hyperfit.report.table import Sheet
from hyperfit.rundir import writing

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
    """The part of the study's result that is drawn; None for all of it."""
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
    "ranks": (Plot("ranks", "Rank of the hyperfitted model's choices under the base model", plots.rank_histogram),),
    "geometry": (
        Plot("geometry-all", "Over all positions; squares lie after the final norm",
             plots.geometry_panels, "all", True),
        Plot("geometry-behind-context", "Only behind the context; squares lie after the final norm",
             plots.geometry_panels, "behind_context", True),
    ),
    "lens": (
        Plot("lens", "By block, on the hyperfitted model's own greedy texts", plots.lens_summary, None, True),
        Plot("lens-text", "One text; the stronger the colour, the surer", plots.lens_grid, None, True),
    ),
    "intervention": (
        Plot("intervention", "Type–token ratio of altered models, 95 % intervals",
             plots.intervention_curves, None, True),
    ),
    "encouragement": (
        Plot("encouragement", "On held-out human text, 95 % intervals", plots.encouragement_curves, None, True),
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
    for study in results["studies"]:
        write_tables(folder / "tables", tables(study, results["studies"][study]))
    target = folder / "mechanism.html"
    with writing(target) as aside:
        aside.write_text(page(results), encoding="utf-8")
    return target


def drawn(results: dict[str, Any]) -> list[tuple[Study, Plot, dict[str, Any]]]:
    """(study, plot, what it draws) of every plot of the studies that are there."""
    return [
        (study, plot, results["studies"][study][plot.part] if plot.part else results["studies"][study])
        for study in STUDIES
        if study in results["studies"]
        for plot in PLOTS[study]
    ]


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
        texts=results["texts"],
        studies=studies,
        source=SOURCE,
        settings=results["settings"],
        plain=plain,
        marks=MARKS,
    )


def tables(study: Study, found: dict[str, Any]) -> list[Sheet]:
    """The tables of a study."""
    return placement_tables(found) if study == "placement" else []


def shortened(name: str) -> str:
    """A model's name without the folders above it."""
    return Path(name).name if name.startswith(("/", ".", "~")) else name


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
        return [("text before the picture", f"…{found['picture']['before']}")]
    return []


def listed(words: list[str]) -> str:
    """Words in a row; "–" for none."""
    return " · ".join(words) or "–"
