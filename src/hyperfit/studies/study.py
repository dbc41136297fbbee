"""What a study is: a question, the trainings that answer it, and how the answer is told from what they gave."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hyperfit.metrics.estimate import Estimate
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.studies.measures.extra import Extra
from hyperfit.studies.settings import StudySettings

if TYPE_CHECKING:
    from hyperfit.studies.measures.results import Results

Answer = Literal["Yes", "No", "Partly", "Not shown"]
Better = Literal["low", "high"]


@dataclass(frozen=True)
class Trial:
    """One training of a study."""

    label: str
    """What is varied, as tables call it; the same for all seeds."""
    recipe: Recipe
    strength: float = 1.0
    """How much of what it changed is in force when it is measured."""
    epoch: Callable[[RunDir], int] | None = None
    """Which kept epoch of the training is the model (of a recipe with ``keep_every``). None: what it ended with."""

    @property
    def name(self) -> str:
        """For lines of progress and files."""
        return f"{re.sub(r'[^a-z0-9.]+', '-', self.label.lower()).strip('-')}-seed{self.recipe.seed}"


@dataclass(frozen=True)
class Row:
    """One row of a table: numbers by measure; ``source`` names the paper where they are not ours."""

    name: str
    cells: dict[str, Estimate]
    source: str = ""


def changed(row: Row, change: Estimate) -> Row:
    """A row, with the paired difference of its type-token ratio from what its table compares it with."""
    return Row(row.name, {**row.cells, "ttr_change": change}, row.source)


@dataclass(frozen=True)
class Table:
    """Numbers of a study."""

    name: str
    """Of its files."""
    title: str
    rows: list[Row]
    measures: tuple[str, ...]
    """Keys as evaluation.json has them, in columns."""
    unit: str = "contexts"
    """What n counts."""
    of: str = ""
    """The one measure of all columns, which then are called by their keys, as in a matrix; "": each is its own."""


@dataclass(frozen=True)
class Line:
    """One curve: (x, estimate) points."""

    name: str
    points: list[tuple[float, Estimate]]


@dataclass(frozen=True)
class Chart:
    """Curves over one axis."""

    name: str
    """Of its ids in the page."""
    x: str
    """What the curves run over."""
    measure: str
    """Key as evaluation.json has it."""
    lines: list[Line]
    log: bool = False
    """Whether the x axis is logarithmic."""


@dataclass(frozen=True)
class Passage:
    """Words to read beside each other: a heading, and by name what was written or expected."""

    heading: str
    texts: dict[str, str]


@dataclass(frozen=True)
class Point:
    """One way to write, in a plane."""

    name: str
    """As tables call it."""
    series: str
    """Which model writes so: points of a series look alike."""
    label: str
    """What stands beside it, short."""
    x: Estimate
    y: Estimate
    front: bool = False
    """Whether no other point is better in one of the two and as good in the other."""


@dataclass(frozen=True)
class Scatter:
    """What is had of one measure, more being better, against what another says of its price."""

    name: str
    """Of its ids in the page."""
    x: str
    """Key as evaluation.json has it: the price."""
    told: str
    """The price in words."""
    y: str
    """The gain."""
    better: Better
    """Which end of the price one wants."""
    points: list[Point]


@dataclass(frozen=True)
class Headline:
    """The few numbers of a table that are drawn beside the answer: one measure of some rows."""

    table: str
    measure: str
    rows: tuple[str, ...]
    """Names of rows; those that the table lacks are passed over."""
    told: str = ""
    """What is drawn, where the measure's own heading does not say it."""


@dataclass(frozen=True)
class Findings:
    """What came of a study."""

    answer: Answer
    """To the study's question."""
    sentence: str
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    scatters: list[Scatter] = field(default_factory=list)
    headline: Headline | None = None
    """None: the first chart or, where there is none, the first measure of the first table."""


@dataclass(frozen=True)
class Study:
    """How a question of the catalogue is asked and answered."""

    name: str
    """In the catalogue, which has the question."""
    trials: Callable[[StudySettings], Sequence[Trial]]
    """What is trained with one seed, most informative first; the machinery repeats it for every seed."""
    tell: Callable[["Results"], Findings]
    decodings: Callable[[StudySettings], Sequence[str]] = lambda settings: ("greedy",)
    """How every model of the study writes."""
    extras: tuple[Extra, ...] = ()
    """What else is measured of every model."""
    more_totals: tuple[int, ...] = ()
    """Tokens of context and continuation of texts that are written besides those of the settings."""
    hinders: Callable[[StudySettings], str | None] = lambda settings: None
    """Why it cannot be run, and what would do; None if it can."""
    base_decodings: Callable[[StudySettings], Sequence[str]] | None = None
    """How the base model writes, where that is another choice."""
    pictures: bool = False
    """Whether it is of models of pictures, and not of text."""
    scored: bool = False
    """Whether a scorer reads the texts, where one is named."""
    tasks: bool = False
    """Whether every model is measured on --tasks, too."""
    method: str = ""
    """How it is done, in a few sentences, as a method section reads."""
