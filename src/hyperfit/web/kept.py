"""What takes long to find out, found out once for all who ask at about the same time."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Found = TypeVar("Found")
SHARE = 0.2
"""Most of one core's time that goes into it, however often it is asked for."""


class Kept(Generic[Found]):
    """A value that is found out anew once it is old: the longer that takes, the longer it is kept."""

    def __init__(self, find: Callable[[], Found], clock: Callable[[], float] = time.monotonic) -> None:
        self.find, self.clock = find, clock
        self.lock = threading.Lock()
        self.known: tuple[Found, float] | None = None
        """The value, and until when it is kept."""

    def __call__(self) -> Found:
        """The value; who asks while another thread finds it out waits for that."""
        with self.lock:
            if self.known is None or self.clock() >= self.known[1]:
                begun = self.clock()
                found = self.find()
                ended = self.clock()
                self.known = found, ended + (ended - begun) * (1 / SHARE - 1)
            return self.known[0]

    def forget(self) -> None:
        """Find it out anew for the next who asks."""
        with self.lock:
            self.known = None
