"""The owner's pages: progress, annotators and their links, export; closed to everybody else."""

import time
from collections.abc import Mapping

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hyperfit.errors import UserError
from hyperfit.prefer.app.site import Site
from hyperfit.prefer.export.formats import FORMATS, exported
from hyperfit.prefer.store.overview import overview
from hyperfit.prefer.store.study import invite
from hyperfit.web.forms import read_form
from hyperfit.web.kept import Kept

PATH = "/owner"
MOST_AT_ONCE = 500
"""Invitations of one form."""


def routes(site: Site) -> APIRouter:
    """Everything below /owner."""
    router = APIRouter()
    pages = OwnerPages(site)

    @router.get(PATH)
    def home(request: Request) -> Response:
        session = site.sign_in.session(request)
        return site.page("signin", wrong=False) if session is None else pages.home(session)

    @router.get(f"{PATH}/enter")
    def enter(request: Request) -> Response:
        return pages.enter(request, request.query_params.get("key", ""))

    @router.post(f"{PATH}/enter")
    async def sign_in(request: Request) -> Response:
        form = await read_form(request)
        return await run_in_threadpool(lambda: pages.enter(request, form.get("password", "")))

    @router.post(f"{PATH}/leave")
    async def leave(request: Request) -> Response:
        site.tokens.check(pages.who(request), await read_form(request))
        response = RedirectResponse(PATH, 303)
        site.sign_in.leave(response)
        return response

    @router.post(f"{PATH}/invite")
    async def more(request: Request) -> Response:
        session, form = pages.who(request), await read_form(request)
        return await run_in_threadpool(lambda: pages.invite(session, form))

    @router.get(f"{PATH}/export/{{name}}")
    def export(request: Request, name: str) -> Response:
        pages.who(request)
        return pages.export(name)

    return router


class OwnerPages:
    """Each page for the owner."""

    def __init__(self, site: Site) -> None:
        self.site, self.study = site, site.study
        self.overview = Kept(lambda: overview(self.study))

    def who(self, request: Request) -> str:
        """The owner's session. Raises 404, as for what is not there, for others."""
        session = self.site.sign_in.session(request)
        if session is None:
            raise HTTPException(404)
        return session

    def enter(self, request: Request, password: str) -> Response:
        """Begin a session, if the password is right. Raises 429 after many that were not."""
        address = request.client.host if request.client else ""
        if self.site.limits.stranger.exhausted(address):
            raise HTTPException(429)
        if not self.site.sign_in.matches(password):
            self.site.limits.stranger.allows(address)
            return self.site.page("signin", 403, wrong=True)
        response = RedirectResponse(PATH, 303)
        self.site.sign_in.enter(response)
        return response

    def home(self, session: str) -> Response:
        """How the study is going."""
        return self.site.page(
            "owner",
            proof=self.site.tokens.issue(session),
            overview=self.overview(),
            settings=self.study.settings,
            pictures=self.study.pictures,
            runs=self.study.runs,
            url=self.site.url,
            now=time.time(),
            formats=FORMATS,
        )

    def invite(self, session: str, form: Mapping[str, str]) -> Response:
        """More annotators."""
        self.site.tokens.check(session, form)
        count = form.get("count", "")
        if not (count.isascii() and count.isdigit() and 1 <= int(count[:9]) <= MOST_AT_ONCE):
            raise HTTPException(400)
        try:
            invite(self.study, int(count))
        except UserError as error:
            raise HTTPException(400) from error
        self.overview.forget()
        return RedirectResponse(f"{PATH}#annotators", 303)

    def export(self, name: str) -> Response:
        """All answers as a file."""
        if name not in FORMATS:
            raise HTTPException(404)
        known = FORMATS[name]
        headers = {"Content-Disposition": f'attachment; filename="{known.file_name}"'}
        return Response(exported(self.study, name), media_type=known.media_type, headers=headers)
