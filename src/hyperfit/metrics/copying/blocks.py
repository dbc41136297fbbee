"""How often blocking citations acted, as shares."""

import math

from hyperfit.generation.citations.blocking import BlockCounts
from hyperfit.metrics.estimate import Estimate


def block_shares(counts: BlockCounts) -> dict[str, Estimate]:
    """Shares of the decoding steps at which a token was forbidden, and at which the likeliest one was; n counts steps.

    Without an interval: steps of one text hang together.
    """

    def share(some: int) -> Estimate:
        value = some / counts.steps if counts.steps else math.nan
        return Estimate(value, math.nan, math.nan, counts.steps)

    return {"blocked_steps": share(counts.blocked), "changed_choices": share(counts.changed)}
