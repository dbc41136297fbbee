"""The processes that fill one prefix cache together: a share of the work each, and nobody waits for one that failed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch.distributed as dist

from hyperfit.errors import UserError

Result = TypeVar("Result")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """Processes of one machine that call the same methods in the same order, each with its own number."""

    index: int
    """Of this process, from 0."""
    count: int
    group: dist.ProcessGroup | None
    """How they reach each other, on the CPU (gloo); None where there is one alone."""

    @property
    def leads(self) -> bool:
        """Whether this is the first, which does what is to be done once."""
        return self.index == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """What of the items falls to this process: no other's, none where there are too few, most to the first."""
        return items[self.index :: self.count]

    @contextmanager
    def together(self) -> Iterator[None]:
        """Leave the block when all have come to its end. What one of them raises, all raise: nobody waits for it.

        A UserError comes with the same problems everywhere. Of any other failure, and of a process that is gone, the
        others raise RuntimeError (torch's DistError for a failure).
        """
        try:
            yield
        except Exception as error:
            self._gathered(error.problems if isinstance(error, UserError) else ())
            raise
        failed = [problems for problems in self._gathered(None) if problems is not None]
        if () in failed:
            raise dist.DistError("another process that fills the prefix cache has failed")
        if failed:
            raise UserError(*failed[0])

    def first(self, work: Callable[[], Result]) -> Result:
        """What ``work`` gives in the first process, in all; the others wait. Raises as ``together``."""
        found = []
        with self.together():
            if self.leads:
                found.append(work())
        result: Result = self._gathered(found)[0][0]
        return result

    def all(self, work: Callable[[], bool]) -> bool:
        """Whether ``work``, done in every process, is true in each. Raises as ``together``."""
        with self.together():
            found = work()
        return all(self._gathered(found))

    def _gathered(self, value: Any) -> list[Any]:
        """The value of each process, in their order."""
        if self.group is None:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value, group=self.group)
        return values


ALONE = Processes(0, 1, None)
"""One process, which shares nothing."""
