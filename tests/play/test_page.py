"""The playground's page beside what it takes from elsewhere: the report's colours, the decodings."""

import re
from pathlib import Path

import hyperfit
from hyperfit.generation.decodings import DECODINGS
from hyperfit.play.app.site import ABOUT, PAGE
from hyperfit.report.pages.templates import MARKS, TEMPLATES

PAINTS = ("page", "ink", "soft", "rule", "base", "tuned", *(f"r{number}" for number in range(MARKS)))


def paints(style: str) -> dict[str, list[str]]:
    """Each colour, in the light and in the dark."""
    return {name: re.findall(rf"--{name}: (#[0-9a-f]+);", style)[:2] for name in PAINTS}


def test_its_colours_are_the_report_s() -> None:
    report = Path(hyperfit.__file__).parent / "report" / "pages" / "style.css.j2"
    assert TEMPLATES.get_template(report.name)
    found = paints((PAGE / "play.css").read_text(encoding="utf-8"))
    assert found == paints(report.read_text(encoding="utf-8"))
    assert all(len(colours) == 2 for colours in found.values())


def test_every_decoding_is_told_in_a_few_words() -> None:
    assert ABOUT.keys() == DECODINGS.keys()
