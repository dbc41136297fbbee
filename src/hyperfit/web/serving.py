"""A server on an address of this machine, until it is stopped."""

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from hyperfit.errors import UserError

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def is_local(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_any(host: str) -> bool:
    """Whether a server bound there is reached at every address of this machine, so that none stands for it."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def names_of(host: str, public_url: str | None) -> tuple[str, ...] | None:
    """The names by which a server may be asked; None for any: bound to more than this machine, its names are many."""
    if not is_local(host):
        return None
    public = urlsplit(public_url).hostname if public_url else None
    return (*LOCAL_NAMES, host, *([public] if public else []))


def check_url(url: str, flag: str) -> str:
    """SCHEME://NAME[:PORT], as browsers spell it. Raises UserError for what has more to it, or is no address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise UserError(f"{flag} {url}: is no address; give one such as https://study.example.org")
    if parts.path.strip("/"):
        raise UserError(f"{flag} {url}: pages lie at the root of a name; give one of its own to them, without a path")
    usual = {"http": ":80", "https": ":443"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(usual)}"


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0: any that is free. Raises UserError where there is none to be had."""
    listening = None
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except (OSError, OverflowError) as error:
        if listening is not None:
            listening.close()
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--host {host} --port {port}: cannot be bound ({reason}); name others") from error
    return listening


def address_of(listening: socket.socket) -> str:
    """http://HOST:PORT of a socket."""
    host, port, *_ = listening.getsockname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(
    app: ASGIApp, listening: socket.socket, ready: Callable[[], None], leaving: Callable[[], None] = lambda: None
) -> None:
    """Answer requests until Ctrl-C or SIGTERM; requests under way are answered first.

    ready: called at the start. leaving: called when it is told to stop, to cut short what would take long.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            leaving()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # addresses hold tokens
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=32 * 1024,
    )
    Server(config).run(sockets=[listening])
