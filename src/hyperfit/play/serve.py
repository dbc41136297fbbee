"""Serve a playground: check, load, say where it is, and answer until stopped."""

from collections.abc import Callable
from pathlib import Path

from hyperfit.errors import UserError, collecting
from hyperfit.play.app.application import application
from hyperfit.play.app.site import Site
from hyperfit.play.checks import CheckedPlay, check_play
from hyperfit.play.playground import Playground
from hyperfit.play.settings import PlaySettings
from hyperfit.web.serving import address_of, bound, is_local, names_of, serve


def serve_playground(folder: Path, settings: PlaySettings, tell: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM. tell: takes lines for whoever started it. Raises UserError with every problem."""
    problems: list[str] = []
    checked: CheckedPlay | None = None
    listening = None
    if is_local(settings.host):
        with collecting(problems):
            listening = bound(settings.host, settings.port)
    try:
        with collecting(problems):
            checked = check_play(folder, settings)
        if problems or checked is None or listening is None:
            raise UserError(*problems)
        playground = Playground(checked, settings)
        site = Site(playground)
        app = application(site, names_of(settings.host, None))
        address = address_of(listening)
        serve(app, listening, lambda: tell(f"The playground is at {address} (stop it with Ctrl-C)"), site.writer.stop)
    finally:
        if listening is not None:
            listening.close()
