"""The playground as a server runs it: a page, its files, and continuations as they are written."""

import json
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp

from hyperfit.errors import UserError
from hyperfit.play.app.asked import asked_of
from hyperfit.play.app.site import FORM, Site
from hyperfit.play.app.task import Busy, Event
from hyperfit.web.forms import read_form
from hyperfit.web.guard import Guard
from hyperfit.web.headers import SecureHeaders

BUSY = "Another continuation is being written, perhaps in another window; stop it there, or wait for it"
OFTEN = "These were many continuations at once; wait a minute"


def application(site: Site, hosts: tuple[str, ...] | None) -> ASGIApp:
    """Everything. hosts: names by which the server may be asked; None for any."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(HTTPException, refusal)
    app.add_route("/files/{name}", site.files.answer)

    @app.get("/")
    def page() -> Response:
        return site.page()

    @app.post("/write")
    async def write(request: Request) -> Response:
        return await answer(site, request)

    return SecureHeaders(Guard(app, hosts))


async def answer(site: Site, request: Request) -> Response:
    """A continuation as lines of JSON, one an event; or what is wrong with what was asked."""
    form = await read_form(request)
    site.tokens.check(FORM, form)
    if not site.limit.allows(request.client.host if request.client else ""):
        raise HTTPException(429, OFTEN)
    play = site.playground
    try:
        asked = asked_of(form, most_new_tokens=play.most_new_tokens, turns=play.turns)
        context = await run_in_threadpool(lambda: play.context(asked))
    except UserError as error:
        return JSONResponse({"problems": list(error.problems)}, 400)
    try:
        events = await site.writer.begin(
            lambda stopped: play.events(asked, context, stopped), gone=request.is_disconnected
        )
    except Busy as busy:
        raise HTTPException(409, BUSY) from busy
    return StreamingResponse(lines(events), media_type="application/x-ndjson")


async def lines(events: AsyncIterator[Event]) -> AsyncIterator[str]:
    """Events as lines."""
    async for event in events:
        yield json.dumps(event, ensure_ascii=False) + "\n"


def refusal(request: Request, error: Exception) -> Response:
    """What does not work, in words."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"problems": [error.detail]}, error.status_code)
