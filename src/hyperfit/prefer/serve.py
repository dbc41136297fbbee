"""Serve a study: begin it or go on with it, say where it is, and answer until stopped."""

import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperfit.errors import UserError, collecting
from hyperfit.prefer.app.application import application
from hyperfit.prefer.app.site import Site
from hyperfit.prefer.items.pairs import pairs_of
from hyperfit.prefer.settings import StudySettings
from hyperfit.prefer.store.study import (
    OpenStudy,
    check_same,
    check_unchanged,
    has_study,
    make_study,
    open_study,
    remember_url,
)
from hyperfit.web.forms import FormTokens
from hyperfit.web.serving import address_of, bound, check_url, is_any, is_local, names_of, serve
from hyperfit.web.signin import SignIn

SHORTEST_PASSWORD = 12


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a study is stored and served."""

    study: Path
    database: str | None = None
    host: str = "127.0.0.1"
    port: int = 8765
    url: str | None = None
    """Where annotators reach the server, if not at host and port."""
    password_file: Path | None = None


def serve_study(runs: Sequence[Path], settings: StudySettings, place: Place, tell: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM. tell: takes lines for the owner. Raises UserError with every problem."""
    problems: list[str] = []
    password = ""
    with collecting(problems):
        password = owner_password(place)
    with collecting(problems):
        check_place(place)
    if problems:
        raise UserError(*problems)
    study = study_for(runs, settings, place)
    try:
        listening = bound(place.host, place.port)
    except UserError:
        study.database.close()
        raise
    key = password or secrets.token_urlsafe(24)
    url = address_of(listening) if place.url is None else check_url(place.url, "--url")
    remember_url(study, url)
    site = site_of(study, url, key)
    app = application(site, names_of(place.host, url))

    def ready() -> None:
        tell(f"The study is served at {site.url} (stop it with Ctrl-C; the same command goes on)")
        tell(f"Owner's page: {site.url}/owner" + (" (sign in with the password)" if password else f"/enter?key={key}"))
        tell("Invite annotators there, or with hyperfit prefer invite")
        if not is_local(place.host) and url.startswith("http:"):
            tell(
                f"Warning: {place.host} can be reached by others, and passwords and answers travel unencrypted: put "
                "a server with TLS before it, and name its address with --url"
            )

    try:
        serve(app, listening, ready)
    finally:
        study.database.close()


def study_for(runs: Sequence[Path], settings: StudySettings, place: Place) -> OpenStudy:
    """The study that is there, if it is the same one; else a new one. Raises UserError where neither will do."""
    given = bool(runs) or settings.texts is not None
    if runs and settings.texts is not None:
        raise UserError(f"--texts {settings.texts}: stands in place of a RUN; leave one of them out")
    if has_study(place.study, place.database):
        study = open_study(place.study, place.database)
        try:
            if given:
                check_same(study, runs, settings, lambda: pairs_of(runs, settings))
            else:
                check_unchanged(study, settings)
        except UserError:
            study.database.close()
            raise
        return study
    if not given:
        raise UserError(
            f"--study {place.study}: holds no study yet; give a RUN made by hyperfit evaluate, or --texts FILE.jsonl"
        )
    return make_study(place.study, place.database, runs, settings, pairs_of(runs, settings))


def site_of(study: OpenStudy, url: str, password: str) -> Site:
    """The pages of a study."""
    sign_in = SignIn(password=password, secret=study.secret, path="/owner", secure=url.startswith("https:"))
    return Site(study=study, sign_in=sign_in, url=url, tokens=FormTokens(study.secret))


def check_place(place: Place) -> None:
    """Raises UserError where links would lead nowhere."""
    if place.url is not None:
        check_url(place.url, "--url")
    elif is_any(place.host):
        raise UserError(
            f"--host {place.host}: is no address that a link can lead to; name one by which others reach this machine "
            f"with --url, such as http://{socket.gethostname()}:{place.port}"
        )


def owner_password(place: Place) -> str:
    """What the owner has set; "" for none. Raises UserError where one is needed, or is too short."""
    if place.password_file is None:
        if not is_local(place.host):
            raise UserError(
                f"--host {place.host}: can be reached by others, so the owner's page needs a password; write one of "
                f"{SHORTEST_PASSWORD} characters or more into a file and name it with --password-file"
            )
        return ""
    try:
        password = place.password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UserError(f"--password-file {place.password_file}: cannot be read ({reason})") from error
    if len(password) < SHORTEST_PASSWORD:
        raise UserError(
            f"--password-file {place.password_file}: is shorter than {SHORTEST_PASSWORD} characters; write a longer one"
        )
    return password
