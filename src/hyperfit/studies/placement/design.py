"""Where to adapt: the trainings that are held against each other, as recipes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hyperfit.recipes.recipe import DEFAULT_LR, Recipe

Place = Literal["last", "first", "middle", "full"]
"""Which blocks get adapters; full: no adapters, all parameters are trained."""
Equal = Literal["rank", "parameters", "time"]
"""What a trial has in common with the reference: the rank of its adapters, the number of its parameters, or the rank
and the seconds of training."""

LATE = 5
"""Blocks of the reference where the run says nothing of late blocks: those of Li et al. (2026)."""
CLOSE = 0.05
"""By which share numbers of parameters may differ and still be called equal."""


@dataclass(frozen=True, kw_only=True)
class PlacementTrial:
    """One training of the comparison."""

    place: Place
    blocks: tuple[int, ...]
    """That learn, counted from 0."""
    equal: Equal
    recipe: Recipe

    @property
    def name(self) -> str:
        """Of its folder: ``last-05-rank``."""
        return f"{self.place}-{len(self.blocks):02}-{self.equal}"

    def within(self, epochs: int) -> "PlacementTrial":
        """The same training with ``epochs`` at the most: as many as equal time allows."""
        return replace(self, equal="time", recipe=replace(self.recipe, epochs=epochs))


@dataclass(frozen=True, kw_only=True)
class Design:
    """What is varied, and around what."""

    recipe: Recipe
    """Of the run: model, texts, seed, stop rule and all else are the same in every trial."""
    depth: int
    """Blocks of the model."""
    width: int
    """Of the model, beyond which no rank goes."""
    depths: Sequence[int] = ()
    """Numbers of last blocks. Empty: 1 to all."""
    adapter_lr: float | None = None
    full_lr: float | None = None
    """Learning rates. None: the run's if it was trained like that, else the default of training."""

    @property
    def late(self) -> int:
        """Last blocks of the reference: the run's."""
        return min(self.recipe.late_blocks if self.recipe.method == "late-lora" else LATE, self.depth)

    @property
    def reference(self) -> PlacementTrial:
        """Adapters in the late blocks, at the run's rank."""
        return self.adapters("last", range(self.depth - self.late, self.depth))

    def trials(self) -> Iterator[tuple[PlacementTrial, ...]]:
        """Place by place, the reference first: the trial at equal rank and, where that differs, at equal parameters.

        None has equal parameters that would need a rank above the model's width, or a small one that cannot be divided.
        The controls have as many blocks as the reference, hence as many parameters; where the reference takes all
        blocks there are none.
        """
        yield (self.reference,)
        for count in sorted({*(self.depths or range(1, self.depth + 1)), self.depth} - {self.late}):
            blocks = range(self.depth - count, self.depth)
            same = self.adapters("last", blocks, "parameters")
            close = abs(same.recipe.rank * count / (self.recipe.rank * self.late) - 1) <= CLOSE
            yield self.adapters("last", blocks), *([same] if close and same.recipe.rank != self.recipe.rank else [])
        if self.late < self.depth:
            start = (self.depth - self.late) // 2
            yield (self.adapters("first", range(self.late)),)
            yield (self.adapters("middle", range(start, start + self.late)),)
        yield (
            PlacementTrial(
                place="full",
                blocks=tuple(range(self.depth)),
                equal="rank",
                recipe=replace(self.plain, method="full", lr=self.rate("full", self.full_lr)),
            ),
        )

    def adapters(self, place: Place, blocks: range, equal: Equal = "rank") -> PlacementTrial:
        """Adapters in some blocks.

        At equal parameters the rank is the reference's, divided among more or fewer blocks. Alpha stays, as Hu et al.
        (2021, LoRA, section 4.1) keep it when they vary the rank: the scale is alpha / rank.
        """
        rank = self.recipe.rank
        if equal == "parameters":
            rank = min(max(1, round(rank * self.late / len(blocks))), self.width)
        recipe = replace(
            self.plain, method="lora", blocks=tuple(blocks), rank=rank, lr=self.rate("lora", self.adapter_lr)
        )
        return PlacementTrial(place=place, blocks=tuple(blocks), equal=equal, recipe=recipe)

    @property
    def plain(self) -> Recipe:
        """The run's recipe without what is varied, and with the least of looks on the way."""
        return replace(
            self.recipe,
            method="lora",
            late_blocks=LATE,
            blocks=(),
            alpha=self.recipe.lora_alpha,
            probe_every=0,
            greedy_every=0,
            probe_texts=1,
            validation_samples=1,
            keep_every=0,
        )

    def rate(self, method: Literal["lora", "full"], wanted: float | None) -> float:
        """The learning rate of a method."""
        if wanted is not None:
            return wanted
        alike = (self.recipe.method == "full") == (method == "full")
        return self.recipe.learning_rate if alike else DEFAULT_LR[method]
