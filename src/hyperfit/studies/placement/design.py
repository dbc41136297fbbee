"""Where to adapt, and how many blocks must learn: the trainings that are held against each other, as recipes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hyperfit.recipes.defaults import default_rate
from hyperfit.recipes.recipe import Recipe

Place = Literal["last", "first", "middle", "late-full", "full"]
"""Which blocks get adapters; late-full: no adapters, all parameters of the last blocks and of the final norm are
trained; full: all parameters, those of embedding and head too."""
Equal = Literal["rank", "parameters", "time"]
"""What a trial has in common with the reference: the recipe (rank of adapters, epochs, goal), the number of its
parameters, or the recipe and the seconds of training."""

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
    """Learning rates; ``full_lr`` is that of all blocks. None: the run's if it was trained like that, else the default
    of training."""

    @property
    def late(self) -> int:
        """Last blocks of the reference: the run's."""
        return min(self.recipe.last_blocks if self.recipe.late else LATE, self.depth)

    @property
    def reference(self) -> PlacementTrial:
        """The late blocks, trained whole if the run trained them so, else by adapters of the run's rank."""
        if self.recipe.method == "late-full":
            return self.whole(self.late)
        return self.adapters("last", range(self.depth - self.late, self.depth))

    def trials(self) -> Iterator[tuple[PlacementTrial, ...]]:
        """Place by place, the reference first: the trial at equal rank and, where that differs, at equal parameters.

        None has equal parameters that would need a rank above the model's width, or a small one that cannot be divided,
        or where the reference has no adapters. The controls have as many blocks as the reference, and adapters; where
        the reference takes all blocks there are none, and where it takes all but one the first are the middle. Blocks
        trained whole come in the same numbers as those with adapters, up to all parameters of the model.
        """
        yield (self.reference,)
        counts = sorted({*(self.depths or range(1, self.depth + 1)), self.late, self.depth})
        for count in counts:
            trial = self.adapters("last", range(self.depth - count, self.depth))
            if trial != self.reference:
                yield trial, *self.of_equal_parameters(count)
        if self.late < self.depth:
            start = (self.depth - self.late) // 2
            yield (self.adapters("first", range(self.late)),)
            if start:
                yield (self.adapters("middle", range(start, start + self.late)),)
        for count in counts:
            if count < self.depth and self.whole(count) != self.reference:
                yield (self.whole(count),)
        everything = replace(self.plain, method="full", lr=self.full_rate(self.depth))
        yield (PlacementTrial(place="full", blocks=tuple(range(self.depth)), equal="rank", recipe=everything),)

    def adapters(self, place: Place, blocks: range, equal: Equal = "rank") -> PlacementTrial:
        """Adapters in some blocks.

        At equal parameters the rank is the reference's, divided among more or fewer blocks. Alpha stays, as Hu et al.
        (2021, LoRA, section 4.1) keep it when they vary the rank: the scale is alpha / rank.
        """
        rank = self.recipe.rank
        if equal == "parameters":
            rank = min(max(1, round(rank * self.late / len(blocks))), self.width)
        own = self.recipe.lr if self.recipe.adapters else None
        rate = self.adapter_lr or own or default_rate("lora", self.width)
        recipe = replace(self.plain, method="lora", blocks=tuple(blocks), rank=rank, lr=rate)
        return PlacementTrial(place=place, blocks=tuple(blocks), equal=equal, recipe=recipe)

    def of_equal_parameters(self, count: int) -> list[PlacementTrial]:
        """Adapters in the last ``count`` blocks with the reference's number of parameters, if there can be such."""
        same = self.adapters("last", range(self.depth - count, self.depth), "parameters")
        close = abs(same.recipe.rank * count / (self.recipe.rank * self.late) - 1) <= CLOSE
        return [same] if close and same.recipe.rank != self.recipe.rank and self.reference.recipe.adapters else []

    def whole(self, count: int) -> PlacementTrial:
        """All parameters of the last ``count`` blocks and of the final norm."""
        blocks = tuple(range(self.depth - count, self.depth))
        recipe = replace(self.plain, method="late-full", late_blocks=count, lr=self.full_rate(count))
        return PlacementTrial(place="late-full", blocks=blocks, equal="rank", recipe=recipe)

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
            stop_copying=None,
        )

    def full_rate(self, count: int) -> float:
        """The learning rate for all parameters of ``count`` blocks: the fewer they are, the larger, in proportion.

        A step of Adam moves every weight by about the rate, whatever its gradient, and what ``count`` blocks do to the
        logits by moving so adds up to about count * rate. So the first steps change the model as much at every number
        of blocks. A model of 30 blocks and 135 million parameters, with rates sought by hand, agrees: 1e-4 for all,
        1.5e-4 to 2e-4 for 20, 4e-4 for 10.
        """
        rate, at = self.full_lr or default_rate("full", self.width), self.depth
        if self.full_lr is None and not self.recipe.adapters and self.recipe.lr is not None:
            rate, at = self.recipe.lr, self.late if self.recipe.method == "late-full" else self.depth
        return min(1.0, rate * (at / count))
