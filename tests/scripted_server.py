"""A chat server on loopback that answers as a script says: also badly, or not at all."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What goes back."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    """Answer nothing until the server ends."""


def said(content: str | None, **message: Any) -> Reply:
    """A chat completion."""
    choice = {"message": {"role": "assistant", "content": content, **message}, "finish_reason": "stop"}
    return Reply({"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}})


def better(answer: str, dimensions: tuple[str, ...] = ("overall",)) -> Reply:
    """A well-formed answer, the same for every dimension."""
    return said(json.dumps(dict.fromkeys(dimensions, answer)))


def texts_of(body: Body) -> tuple[str, str]:
    """(continuation A, continuation B) of a request."""
    prompt = body["messages"][1]["content"]
    return tuple(  # type: ignore[return-value]
        prompt.split(f"<continuation_{side}>\n")[1].split(f"\n</continuation_{side}>")[0] for side in "AB"
    )


@dataclass
class Served:
    """A running server and what it has been sent."""

    url: str
    requests: list[Body]
    headers: list[dict[str, str]]
    at_once: int = 0
    """Most requests under way together."""


@contextmanager
def serving(script: Callable[[int, Body], Reply]) -> Iterator[Served]:
    """Serve while the block runs. script: (number of the request from 0, its body) → reply."""
    lock, ending, working = threading.Lock(), threading.Event(), [0]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(served.requests)
                served.requests.append(body)
                served.headers.append({**dict(self.headers), "path": self.path})
                working[0] += 1
                served.at_once = max(served.at_once, working[0])
            reply = script(number, body)
            if reply.hang:
                ending.wait(30)
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            with lock:
                working[0] -= 1
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(content)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # whoever asked has gone
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Served(f"http://127.0.0.1:{server.server_port}/v1", [], [])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        ending.set()
        server.shutdown()
        thread.join()
        server.server_close()
