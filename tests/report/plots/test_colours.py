"""The page's colours, light and dark: read on their ground, and told apart by those who see no red or no green."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import hyperfit.report.pages.templates as templates

Colour = NDArray[np.float64]

SEEN_BY = {
    "all": np.eye(3),
    "who see no red": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "who see no green": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
"""Linear RGB as it looks to them: Machado, Oliveira and Fernandes (2009), severity 1."""
APART = 12
"""Least distance in CIELAB of two colours of spans; about 2 can just be seen side by side."""
READABLE = 4.5
"""Least contrast of text with its ground: WCAG 2, level AA."""
MARKS = [f"r{number}" for number in range(templates.MARKS)]


def palettes() -> dict[str, dict[str, Colour]]:
    """Variables of the page in light and in dark, as linear RGB."""
    style = (Path(templates.__file__).parent / "style.css.j2").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", part)) for part in style.split("@media", 2)[:2])
    return {
        name: {key: linear(value) for key, value in found.items()} for name, found in (("light", light), ("dark", dark))
    }


def linear(colour: str) -> Colour:
    values = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def luminance(colour: Colour) -> float:
    return float(colour @ [0.2126, 0.7152, 0.0722])


def contrast(one: Colour, other: Colour) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def lab(colour: Colour) -> Colour:
    """CIELAB under D65."""
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = to_xyz @ np.clip(colour, 0, 1) / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_the_arithmetic_by_known_values() -> None:
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.02)
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    assert contrast(linear("#000000"), linear("#ffffff")) == pytest.approx(21)
    assert contrast(linear("#767676"), linear("#ffffff")) == pytest.approx(4.54, abs=0.01)
    for seen in SEEN_BY.values():
        assert seen @ np.ones(3) == pytest.approx(np.ones(3), abs=1e-5), "grey stays grey"


@pytest.mark.parametrize("light", ["light", "dark"])
@pytest.mark.parametrize("who", SEEN_BY)
def test_spans_can_be_told_apart_and_from_the_page(light: str, who: str) -> None:
    palette = palettes()[light]
    seen = {name: lab(SEEN_BY[who] @ palette[name]) for name in (*MARKS, "page")}
    near = {
        (one, other): distance
        for one, other in combinations(seen, 2)
        if (distance := float(np.linalg.norm(seen[one] - seen[other]))) < (8 if other == "page" else APART)
    }
    assert near == {}


@pytest.mark.parametrize("light", ["light", "dark"])
def test_text_can_be_read_on_its_ground(light: str) -> None:
    palette = palettes()[light]
    for text, ground in [
        *(("ink", mark) for mark in MARKS),
        *((text, "page") for text in ("ink", "soft", "base", "tuned")),
    ]:
        assert contrast(palette[text], palette[ground]) >= READABLE, (text, ground)


@pytest.mark.parametrize("light", ["light", "dark"])
@pytest.mark.parametrize("who", SEEN_BY)
def test_base_hyperfitted_and_human_can_be_told_apart(light: str, who: str) -> None:
    palette = palettes()[light]
    seen = [lab(SEEN_BY[who] @ palette[name]) for name in ("base", "tuned", "ink")]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 25


def test_as_many_spans_have_a_name_of_their_own_as_there_are_letters() -> None:
    assert len(set(templates.LETTERS)) == len(templates.LETTERS)
    assert len(templates.LETTERS) % templates.MARKS == 0, "the same letter never has two colours"
