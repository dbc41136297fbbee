"""Requests that are refused before anything reads them: from other sites, to other names, or too large."""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 64 * 1024
"""Bytes of a form."""
SAFE = ("GET", "HEAD")


class Guard:
    """Middleware: 400 for a name that is not the server's, 403 for a form of another site, 405 and 413."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None, public_url: str = "") -> None:
        """hosts: names, without a port, by which the server is asked; None for any.

        A page of another site that has its own name lead to this machine (DNS rebinding) is refused by them.
        public_url: where browsers have the pages from, if another server stands before this one: it may ask by
        another name than they do.
        """
        self.app, self.hosts, self.public = app, hosts, urlsplit(public_url).netloc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] == "websocket":
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = self.refusal(scope["method"], headers)
        if refused is not None:
            status, reason = refused
            await PlainTextResponse(reason + "\n", status)(scope, receive, send)
            return
        await self.app(scope, Bounded(receive), send)

    def refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        """(status, reason) for what goes no further."""
        host = headers.get("host", "")
        if self.hosts is not None and name_of(host) not in self.hosts:
            return 400, "This server has another name."
        if method in SAFE:
            return None
        if method != "POST":
            return 405, "Only GET, HEAD and POST are answered."
        if not same_site(headers, (host, self.public)):
            return 403, "This form comes from another site."
        length = headers.get("content-length", "")
        if not length.isdigit():
            return 411, "The length of a form has to be told."
        return (413, "That is too much.") if int(length) > LARGEST_BODY else None


class Bounded:
    """The body of a request, cut off where it is longer than a form may be, whatever its header says."""

    def __init__(self, receive: Receive) -> None:
        self.receive, self.left = receive, LARGEST_BODY

    async def __call__(self) -> Message:
        """The next part."""
        message = await self.receive()
        self.left -= len(message.get("body", b""))
        return message if self.left >= 0 else {"type": "http.disconnect"}


def same_site(headers: Headers, places: Collection[str]) -> bool:
    """Whether a form was sent by a page of this server, as far as the browser tells. places: its NAME[:PORT]."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    scheme, _, place = origin.partition("://")
    return scheme in ("http", "https") and place != "" and place in places


def name_of(host: str) -> str:
    """A host header without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
