"""An OpenAI-compatible server: requests that are tried again where that helps, and in the form that it understands."""

import asyncio
import json
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

from hyperfit.errors import UserError

AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Statuses after which the same request may succeed."""
REFUSED = (400, 415, 422)
"""Statuses of a request whose form the server does not understand."""
LONGEST_WAIT = 120.0
"""Seconds that a server's Retry-After is heeded at most."""
HIDDEN = "***"
"""What is kept in place of the key, should a server repeat it."""
Body = Mapping[str, Any]


@dataclass(frozen=True)
class Exchange:
    """One request and what came of it."""

    request: Body
    status: int | None
    """None where nothing came back."""
    reply: Any
    """The parsed JSON of the reply, or its text."""
    error: str
    """Why nothing came back; "" if something did."""
    seconds: float
    retry_after: float | None = None
    """Seconds that the server asks to wait."""


@dataclass
class Endpoint:
    """Where a judge is asked; an asynchronous context."""

    url: str
    """As --endpoint gives it."""
    key: str | None = field(default=None, repr=False)
    timeout: float = 120.0
    """Seconds for one reply."""
    retries: int = 5
    """Times that a request is sent again."""
    pause: float = 1.0
    """Seconds before the first of these, doubled each time, unless the server says when."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    form: int = 0
    """Which of the forms of a request the server has not refused."""

    def __post_init__(self) -> None:
        self.address = address_of(self.url)

    async def __aenter__(self) -> "Endpoint":
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        self.client = httpx2.AsyncClient(headers=headers, timeout=self.timeout, follow_redirects=False)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.client.aclose()

    async def ask(self, bodies: Sequence[Body], keep: Callable[[Exchange], None]) -> Any:
        """The reply to a request, given in all its forms. keep: is told every exchange, also those that failed.

        Raises UserError where the server cannot be reached, or does not take the request in any form.
        """
        attempt = 0
        while True:
            form = self.form
            done = await self.send(bodies[form])
            keep(done)
            if done.status is not None and 200 <= done.status < 300:
                return done.reply
            if done.status in REFUSED and form + 1 < len(bodies):
                self.form = max(self.form, form + 1)
                continue
            if not (done.status is None or done.status in AGAIN) or attempt >= self.retries:
                raise UserError(self.trouble(done, attempt))
            await self.sleep(self.wait(done, attempt))
            attempt += 1

    async def send(self, body: Body) -> Exchange:
        """One request."""
        started = time.monotonic()
        try:
            response = await self.client.post(self.address, json=body)
        except httpx2.HTTPError as error:
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            return Exchange(body, None, None, self.hidden(said), time.monotonic() - started)
        text = self.hidden(response.text)
        reply: Any = text
        with suppress(ValueError, RecursionError):
            reply = json_of(text)
        after = seconds_of(response.headers.get("retry-after"))
        return Exchange(body, response.status_code, reply, "", time.monotonic() - started, after)

    def wait(self, done: Exchange, attempt: int) -> float:
        """Seconds before the next try: what the server says, or twice as long as before, a little spread."""
        if done.retry_after is not None:
            return min(done.retry_after, LONGEST_WAIT)
        return float(min(self.pause * 2**attempt, LONGEST_WAIT) * random.uniform(0.8, 1.2))

    def trouble(self, done: Exchange, attempt: int) -> str:
        """A failure for people."""
        if done.status is None:
            return (
                f"--endpoint {self.url}: no answer ({done.error}), {attempt + 1} times; see that the server runs, and "
                "repeat the command: what was answered is kept"
            )
        said = " ".join(str(message_of(done.reply)).split())[:300]
        remedy = {
            401: "set the key in the variable that --key-variable names",
            403: "set a key that may use this model in the variable that --key-variable names",
            404: "check --endpoint, which usually ends in /v1, and --model",
        }.get(done.status, "repeat the command later: what was answered is kept")
        return f"--endpoint {self.url}: status {done.status}, {attempt + 1} times ({said}); {remedy}"

    def hidden(self, text: str) -> str:
        """A text without the key."""
        return text.replace(self.key, HIDDEN) if self.key else text


def json_of(text: str) -> Any:
    """What JSON says, as far as it can be written down again."""
    value = json.loads(text)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def message_of(reply: Any) -> Any:
    """What a server says is wrong."""
    found = reply.get("error", reply) if isinstance(reply, dict) else reply
    return found.get("message", found) if isinstance(found, dict) else found


def seconds_of(retry_after: str | None) -> float | None:
    """The header Retry-After, in seconds or as a date; None where it says nothing."""
    if not retry_after:
        return None
    with suppress(ValueError):
        return max(0.0, float(retry_after))
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    return None


def address_of(url: str) -> str:
    """Where chat completions are asked for. Raises UserError for what is no address, or holds a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"--endpoint {url}: is no address; give one such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError(
            "--endpoint: holds a user, a password or a query; leave it out, and give the key in the variable that "
            "--key-variable names"
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path = f"{path or '/v1'}/chat/completions"
    return f"{parts.scheme}://{parts.netloc}{path}"


def key_from(variable: str) -> str | None:
    """The key in an environment variable; None where it is not set."""
    return os.environ.get(variable) or None
