"""What became of the pictures that were completed: tokens and pixels by condition, and every measure of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from hyperfit.generation.citations.blocking import BlockCounts
from hyperfit.image.completion.contexts import Originals
from hyperfit.image.completion.grid import Column, with_unknown
from hyperfit.image.completion.nearest import nearest
from hyperfit.image.measures.featurise import Featurise
from hyperfit.image.measures.score import SHARES, Pictures, Scores, pictures_of, score
from hyperfit.image.palette import Palette
from hyperfit.image.reading.decode import Pixels
from hyperfit.metrics.copying.blocks import block_shares
from hyperfit.metrics.estimate import Estimate, estimate, paired_difference, paired_differences

BASE, HYPERFITTED = "base", "hyperfitted"
BLOCKED = "+blocked"
"""Behind a decoding: with citations of the training pictures blocked."""


@dataclass(frozen=True, kw_only=True)
class Completions:
    """The pictures that were completed, and what became of them."""

    originals: Originals
    palette: Palette
    given: int
    """Pixels of each picture that stood at its beginning, read row by row from the top left."""
    tokens: Mapping[str, Tensor]
    """Condition, such as ``base/greedy`` → int64[pictures, length], start token and given pixels included."""
    blocks: Mapping[str, BlockCounts]
    """By condition whose citations were blocked."""
    losses: Mapping[str, Sequence[float]]
    """Model → mean -log p of the pixels behind the given ones, of each picture as it really goes on: nats."""

    featurise: Featurise | None = None
    """Makes features of pictures, by which completions and originals are compared."""

    def pixels(self, condition: str) -> Pixels:
        """uint8[pictures, height, width, 3]"""
        return self.palette.pixels(self.tokens[condition])

    @cached_property
    def human(self) -> Tensor:
        """int64[pictures, length]: the pictures as they are, in the model's colours."""
        return self.palette.tokens(self.originals.pictures.pixels)

    def columns(self) -> list[Column]:
        """What was given, what each condition made of it, the picture itself, and, for each condition of the
        hyperfitted model, the training picture that its completion is nearest to.
        """
        original = self.palette.pixels(self.human)
        shown = [Column("given", with_unknown(original, self.given))]
        shown += [Column(name.replace("/", " "), self.pixels(name)) for name in self.tokens]
        shown.append(Column("original", original))
        training = self.originals.training
        if len(training):
            for name in (name for name in self.tokens if name.startswith(f"{HYPERFITTED}/")):
                places, _ = nearest(self.pixels(name), training, self.given)
                shown.append(Column(f"nearest to {name.rpartition('/')[2]}", training[places]))
        return shown

    @cached_property
    def scored(self) -> Scores:
        """Every measure of each condition, and of the pictures themselves (``hyperfit.image.measures.score``)."""
        training = self.originals.training
        return score(
            {name: pictures_of(rows, self.palette) for name, rows in self.tokens.items()},
            pictures_of(self.human, self.palette),
            Pictures(pictures_of(self.palette.tokens(training), self.palette).tokens, training),
            self.given,
            self.featurise,
        )

    @property
    def scores(self) -> dict[str, dict[str, Estimate]]:
        """Every measure of each condition; of those whose citations were blocked also how often."""
        shares = {name: block_shares(counts) for name, counts in self.blocks.items()}
        return {name: {**found, **shares.get(name, {})} for name, found in self.scored.conditions.items()}

    def comparisons(self) -> dict[str, dict[str, Estimate]]:
        """``one - other`` → measure → difference, paired: hyperfitted less base, and blocked less not blocked."""
        values = self.scored.by_picture
        pairs = [
            (name, name.removesuffix(BLOCKED) if name in self.blocks else f"{BASE}/{name.partition('/')[2]}")
            for name in self.tokens
            if name.startswith(f"{HYPERFITTED}/")
        ]
        return {f"{one} - {other}": paired_differences(values[one], values[other], SHARES) for one, other in pairs}

    def likelihoods(self) -> dict[str, Estimate]:
        """Model → nats per pixel of how the pictures really go on; ``hyperfitted - base``, paired, where both are."""
        found = {name: estimate(losses) for name, losses in self.losses.items()}
        if {BASE, HYPERFITTED} <= found.keys():
            found[f"{HYPERFITTED} - {BASE}"] = paired_difference(self.losses[HYPERFITTED], self.losses[BASE])
        return found
