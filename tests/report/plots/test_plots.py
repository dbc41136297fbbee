"""The plots: one language of colour, mark and dashes, told apart without colour; every drawn value to be read."""

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hyperfit.report.look import CONDITIONS, IN_DARK, IN_FILE, IN_PAGE, SERIES, look_of
from hyperfit.report.pages.mechanism import drawn
from hyperfit.report.plots.labels import lifts, thinned
from hyperfit.report.plots.marks import exact
from hyperfit.report.plots.mechanism import bias_curves, temperature_diversity
from hyperfit.report.plots.panels import Panel, panels, style
from hyperfit.report.plots.training import loss_panel, position_panel, ttr_panel
from hyperfit.report.plots.values import values
from small_mechanism import about, encouragement, mechanism

DARK = {"base": "#e39c6e", "tuned": "#82b5ee", "ink": "#e5e1d8", "soft": "#a39d92", **IN_DARK}
"""The page's colours in the dark: of style.css.j2 and of look.py."""
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
"""Linear RGB as a deuteranope sees it: Machado, Oliveira and Fernandes (2009), severity 1."""
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)


def lab(colour: str, sight: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* of a colour as somebody sees it."""
    parts = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(sight @ linear, 0, 1) / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_lab_of_known_colours() -> None:
    plain = np.eye(3)
    assert lab("#ffffff", plain) == pytest.approx([100, 0, 0], abs=0.1)
    assert lab("#ff0000", plain) == pytest.approx([53.24, 80.09, 67.20], abs=0.1)


@pytest.mark.parametrize("colours", [vars(IN_FILE), DARK], ids=["light", "dark"])
@pytest.mark.parametrize("sight", [np.eye(3), DEUTERANOPIA], ids=["trichromat", "deuteranope"])
def test_colours_of_series_can_be_told_apart(colours: dict[str, str], sight: NDArray[np.float64]) -> None:
    names = [look.colour for look in (*CONDITIONS.values(), *SERIES)]
    assert len(set(names)) == len(names)
    for one, other in itertools.combinations(names, 2):
        assert np.linalg.norm(lab(colours[one], sight) - lab(colours[other], sight)) > 15, (one, other)


def test_no_two_looks_have_a_mark_or_dashes_in_common() -> None:
    looks = [*CONDITIONS.values(), *SERIES]
    assert len({look.marker for look in looks}) == len({str(look.dashes) for look in looks}) == len(looks)


def test_base_is_an_orange_square_hyperfitted_a_blue_circle_human_a_triangle_in_ink() -> None:
    assert [(look.colour, look.marker) for look in CONDITIONS.values()] == [("base", "s"), ("tuned", "o"), ("ink", "^")]
    assert look_of("hyperfitted/greedy") is CONDITIONS["hyperfitted"]
    assert look_of("human") is CONDITIONS["human"]


def every_panel() -> list[tuple[str, Panel]]:
    results = mechanism()
    with style(IN_PAGE):
        return [
            (plot.name, panel)
            for _, plot, part in drawn(results)
            if not plot.text
            for panel in plot.draw(part, IN_PAGE)
        ]


def test_every_condition_has_its_look_wherever_it_is_drawn_and_no_other_series_has() -> None:
    own = {("base", "s"): "base", ("tuned", "o"): "hyperfitted", ("ink", "^"): "human"}
    names = {
        "base": {"base"},
        "hyperfitted": {"hyperfitted", "on its own greedy texts", "rank", "adapters, equal rank", "equal rank"},
        "human": {"human", "on human text"},
    }
    seen = set()
    for plot, panel in every_panel():
        looks: dict[str, tuple[Any, Any]] = {
            name: (line.get_color(), line.get_marker()) for name, line in panel.handles.items()
        }
        looks |= {name: (getattr(IN_PAGE, look.colour), look.marker) for name, _, look in panel.ends}
        assert len(set(looks.values())) == len(looks), (plot, "two series look alike")
        for name, (colour, marker) in looks.items():
            condition = next((own[role, marker] for role in ("base", "tuned", "ink")
                              if getattr(IN_PAGE, role) == colour and (role, marker) in own), None)  # fmt: skip
            expected = next((one for one, called in names.items() if name in called), None)
            assert condition == expected, (plot, name)
            seen.add(condition)
    assert seen == {"base", "hyperfitted", "human", None}


def test_what_is_drawn_is_what_can_be_read() -> None:
    with style(IN_PAGE):
        (panel,) = bias_curves(mechanism()["studies"]["bias"], IN_PAGE)
        told = str(values(panel, "Bias <b>"))
    rows = re.findall(r"<tr>(.*?)</tr>", told)
    assert len(rows) == 1 + 4 * 3 + 1, "a head, four curves of three strengths, and a level"
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)<", row) for row in rows]
    assert cells[0] == ["series", "strength α of the bias (not to scale)", "value", "low", "high"]
    assert cells[5] == ["promoted 500", "0.5", "0.5", "0.48", "0.52"]
    assert cells[-1] == ["hyperfitted", "everywhere", "0.7", "–", "–"]
    assert 'aria-label="Values: Bias &lt;b&gt;"' in told


def test_every_panel_has_a_title_and_tells_every_finite_value() -> None:
    for plot, panel in every_panel():
        assert panel.title, plot
        told = str(values(panel, panel.title))
        assert len(re.findall(r"<tr>", told)) == 1 + len(panel.marks)
        assert panel.marks
        assert "nan" not in told


def test_a_panel_is_a_figure_of_its_own_on_the_page_and_one_of_many_in_a_file() -> None:
    assert len({id(panel.figure) for panel in panels(2, 2, IN_PAGE)}) == 4
    assert len({id(panel.figure) for panel in panels(2, 2, IN_FILE)}) == 1


def test_ticks_stand_at_the_points_and_thin_out() -> None:
    assert thinned([0, 1, 2, 4, 9]) == [0, 2, 4, 9], "an eighth of 9 is more than 1"
    assert thinned([0, 1, 2, 4, 8]) == [0, 1, 2, 4, 8]
    assert thinned(list(range(41))) == [0, 5, 10, 15, 20, 25, 30, 35, 40]
    assert thinned([4, 16, 64], math.log2) == [4, 16, 64]
    assert thinned([7]) == [7]
    with style(IN_PAGE):
        (panel,) = panels(1, 1, IN_PAGE)
        panel.curve("base", [0, 3, 7], [exact(1.0)] * 3, CONDITIONS["base"])
    assert list(panel.axes.get_xticks()) == [0, 3, 7]


def test_names_at_right_ends_do_not_stand_on_each_other() -> None:
    assert lifts([0, 50, 100]) == [0, 0, 0]
    assert lifts([50, 50]) == [-5.5, 5.5]
    assert lifts([53, 50]) == [4, -4], "3 apart, and 11 are needed"
    moved = [height + lift for height, lift in zip((50, 50, 52), lifts([50, 50, 52]), strict=True)]
    assert all(later - earlier > 10.9 for earlier, later in itertools.pairwise(moved))


def test_bars_of_every_decoding_bear_the_mark_of_their_condition() -> None:
    with style(IN_PAGE):
        (panel,) = temperature_diversity(mechanism()["studies"]["temperature"], IN_PAGE)
    assert {name: line.get_marker() for name, line in panel.handles.items()} == {
        "base": "s", "hyperfitted": "o", "human": "^",
    }  # fmt: skip
    panel.finish()
    assert panel.axes.texts[0].get_text() == "base, greedy"


def test_each_line_of_a_name_ends_where_its_bars_begin() -> None:
    """A point is 1/72 inch: the middle of two lines is the place, and each ends left of the axes."""
    with style(IN_PAGE):
        (panel,) = panels(1, 1, IN_PAGE)
        panel.describe("TTR", "condition", names=["base", "stopped\nearly"], lying=True)
        panel.bars("a", [0, 1], [exact(0.5), exact(0.25)], CONDITIONS["base"])
        panel.finish()
    written = {text.get_text(): text for text in panel.axes.texts}
    assert set(written) == {"base", "stopped", "early"}
    assert {text.get_ha() for text in written.values()} == {"right"}
    heights = [text.xyann for text in (written["base"], written["stopped"], written["early"])]
    assert heights == [(-5, 0), (-5, 5.5), (-5, -5.5)]


def test_two_epochs_are_bars_and_more_are_lines() -> None:
    from hyperfit.report.plots.mechanism import encouragement_panels

    with style(IN_PAGE):
        two = encouragement_panels(encouragement((0, 9)), IN_PAGE)[0]
        more = encouragement_panels(encouragement((0, 4, 9)), IN_PAGE)[0]
    assert list(two.handles) == ["base", "hyperfitted"]
    assert list(more.handles) == ["k = 1", "k = 5", "k = 10"]


EPOCHS = [
    {"epoch": 0, "train_loss": None, "val_loss": 3.5, "ttr": 0.2, "human_ttr": 0.71},
    {"epoch": 1, "train_loss": 2.0, "val_loss": 3.1, "ttr": 0.5},
    {"epoch": 2, "train_loss": 0.04, "val_loss": 3.3, "ttr": 0.6},
]


def test_panels_of_training_are_picture_and_values() -> None:
    html = loss_panel(EPOCHS, 0.05)
    assert html.index("<svg") < html.index("</svg>") < html.index("<details") < html.index("<table")
    rows = [re.findall(r">([^<]+)<", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    assert rows[1:] == [
        ["validation", "0", "3.5"],
        ["validation", "1", "3.1"],
        ["validation", "2", "3.3"],
        ["training", "1", "2"],
        ["training", "2", "0.04"],
        ["goal 0.05", "everywhere", "0.05"],
    ]


def test_the_human_line_is_that_of_the_probes_own_contexts() -> None:
    assert '<th scope="row">human</th><td>everywhere</td><td>0.71</td>' in ttr_panel(EPOCHS)
    old = [{name: value for name, value in event.items() if name != "human_ttr"} for event in EPOCHS]
    assert "human" not in ttr_panel(old), "an evaluation's human texts continue other contexts"


def test_positions_have_their_intervals() -> None:
    lines = {"human": {"ttr_by_position": [{"end": end, **about(0.7)} for end in (96, 192)]}}
    assert "<td>192</td><td>0.7</td><td>0.68</td><td>0.72</td>" in position_panel(lines)
