"""One continuation at a time, written in a thread of its own and read by the page as it comes."""

import asyncio
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

Event = dict[str, Any]
PATIENCE = 3.0
"""Seconds for a continuation that was stopped to end its step."""
LOOKS_UP = 0.5
"""Seconds after which it is seen that nobody reads any more."""
BROKEN: Event = {"event": "broken"}
"""Told where writing has failed: a bug, whose traceback the server's terminal shows."""


class Busy(Exception):  # noqa: N818  # nothing is wrong: somebody else is served
    """Another continuation is being written."""


class Writer:
    """Writes what it is given, one continuation after the other."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, "writer")  # always the same thread: threads of its own arithmetic stay, too
        self.free = threading.Lock()
        self.stopping = threading.Event()
        """Of the continuation that is written, or was last."""

    async def begin(
        self, make: Callable[[Callable[[], bool]], Iterator[Event]], gone: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[Event]:
        """The events of ``make``, which is given what says whether to stop. Raises Busy while another one is read.

        gone: whether nobody reads any more, which stops it.
        """
        if not await asyncio.to_thread(self.free.acquire, timeout=PATIENCE):
            raise Busy
        stop = self.stopping = threading.Event()
        told: asyncio.Queue[Event | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(event: Event | None) -> None:
            with suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(told.put_nowait, event)

        def write() -> None:
            try:
                for event in make(stop.is_set):
                    tell(event)
                    if stop.is_set():
                        break
            except Exception:
                traceback.print_exc()
                tell(BROKEN)
            finally:
                self.free.release()
                tell(None)

        self.pool.submit(write)
        return read(told, stop, gone)

    def stop(self) -> None:
        """Stop what is written."""
        self.stopping.set()


async def read(
    told: "asyncio.Queue[Event | None]", stop: threading.Event, gone: Callable[[], Awaitable[bool]]
) -> AsyncIterator[Event]:
    """Events up to None; whatever ends the reading stops the writing."""
    try:
        while True:
            try:
                event = await asyncio.wait_for(told.get(), LOOKS_UP)
            except TimeoutError:
                if await gone():
                    return
                continue
            if event is None:
                return
            yield event
            if await gone():
                return
    finally:
        stop.set()
