"""How often somebody may ask."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

REMEMBERED = 10_000
"""Askers of whom a limit knows; those that asked longest ago are forgotten, and begin anew."""


class RateLimit:
    """A bucket of ``burst`` requests for each asker, refilled by ``per_minute``; as many threads as there are."""

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self.burst, self.clock = per_minute, burst, clock
        self.lock = threading.Lock()
        self.buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Asker → (requests left, when that was)."""

    def allows(self, asker: str) -> bool:
        """Whether one more request is within the limit; it counts if it is."""
        return self._take(asker, 1)

    def exhausted(self, asker: str) -> bool:
        """Whether the next request would be beyond the limit; nothing is counted."""
        return not self._take(asker, 0)

    def _take(self, asker: str, cost: int) -> bool:
        with self.lock:
            now = self.clock()
            left, since = self.buckets.get(asker, (float(self.burst), now))
            left = min(self.burst, left + (now - since) * self.per_minute / 60)
            fits = left >= 1
            self.buckets[asker] = (left - cost if fits else left, now)
            self.buckets.move_to_end(asker)
            if len(self.buckets) > REMEMBERED:
                self.buckets.popitem(last=False)
            return fits
