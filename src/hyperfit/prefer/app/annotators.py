"""The annotators' pages: instructions, pairs, pause and end, all behind a token."""

import math
import time
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hyperfit.prefer.app.shown import Shown, answered_last, picture_example, waiting, waiting_already
from hyperfit.prefer.app.site import Site
from hyperfit.prefer.store.answers import SIDES, Given, Side, progress, store_answer
from hyperfit.prefer.store.claims import current
from hyperfit.prefer.store.study import annotator_of
from hyperfit.prefer.store.tables import Annotator
from hyperfit.web.forms import read_form

LONGEST_TOKEN = 64


def routes(site: Site) -> APIRouter:
    """Everything below /a/TOKEN."""
    router = APIRouter()
    pages = AnnotatorPages(site)

    @router.get("/a/{token}")
    def pair(request: Request, token: str) -> Response:
        return pages.pair(pages.who(request, token))

    @router.get("/a/{token}/undo")
    def undo(request: Request, token: str) -> Response:
        return pages.undo(pages.who(request, token))

    @router.get("/a/{token}/instructions")
    def instructions(request: Request, token: str) -> Response:
        return pages.instructions(pages.who(request, token))

    @router.get("/a/{token}/pause")
    def pause(request: Request, token: str) -> Response:
        return pages.pause(pages.who(request, token))

    @router.post("/a/{token}/start")
    async def start(request: Request, token: str) -> Response:
        form = await read_form(request)
        return await run_in_threadpool(lambda: pages.start(pages.who(request, token), form))

    @router.post("/a/{token}/answer")
    async def answer(request: Request, token: str) -> Response:
        form = await read_form(request)
        return await run_in_threadpool(lambda: pages.answer(pages.who(request, token), form))

    return router


class AnnotatorPages:
    """Each page for an annotator."""

    def __init__(self, site: Site) -> None:
        self.site, self.study, self.settings = site, site.study, site.study.settings

    def who(self, request: Request, token: str) -> Annotator:
        """Whose token it is. Raises 404 where it is nobody's, and 429 for too many requests.

        A good token is never refused for what others ask from the same address: a whole class may share it, or a
        server that stands before this one. No limit is needed to keep a token of 144 bits from being guessed.
        """
        limits, address = self.site.limits, request.client.host if request.client else ""
        with self.study.database.reading() as session:
            annotator = annotator_of(session, token) if len(token) <= LONGEST_TOKEN else None
            session.expunge_all()
        if annotator is None:
            raise HTTPException(404 if limits.stranger.allows(address) else 429)
        if not limits.annotator.allows(token):
            raise HTTPException(429)
        return annotator

    def pair(self, annotator: Annotator) -> Response:
        """The pair that waits; before the start the instructions, after the last one thanks."""
        if annotator.started_at is None:
            return self.instructions(annotator)
        with self.study.database.reading() as session:
            shown = waiting_already(session, annotator, self.settings)
        if shown is None:
            with self.study.database.writing() as session:
                shown = waiting(session, annotator, self.settings)
        return self.done(annotator) if shown is None else self.shown(annotator, shown)

    def shown(self, annotator: Annotator, shown: Shown) -> Response:
        """A pair, to be judged or judged again."""
        return self.site.page("pair", **self.common(annotator), shown=shown)

    def undo(self, annotator: Annotator) -> Response:
        """The last answer, to be changed."""
        with self.study.database.reading() as session:
            shown = answered_last(session, annotator, self.settings)
        return self.back(annotator) if shown is None else self.shown(annotator, shown)

    def instructions(self, annotator: Annotator) -> Response:
        """What to do, with an example."""
        return self.site.page(
            "instructions-pictures" if self.study.pictures else "instructions",
            **self.common(annotator),
            started=annotator.started_at is not None,
            questions=self.settings.questions,
            example=picture_example() if self.study.pictures else None,
        )

    def pause(self, annotator: Annotator) -> Response:
        """Nothing to read, and how to go on."""
        with self.study.database.reading() as session:
            how_far = progress(session, annotator, self.settings)
        return self.site.page("pause", **self.common(annotator), progress=how_far)

    def done(self, annotator: Annotator) -> Response:
        """Thanks."""
        with self.study.database.reading() as session:
            how_far = progress(session, annotator, self.settings)
        return self.site.page("done", **self.common(annotator), progress=how_far)

    def start(self, annotator: Annotator, form: Mapping[str, str]) -> Response:
        """Begin."""
        self.site.tokens.check(annotator.token, form)
        with self.study.database.writing() as session:
            mine = session.get_one(Annotator, annotator.id)
            mine.started_at = mine.started_at or time.time()
        return self.back(annotator)

    def answer(self, annotator: Annotator, form: Mapping[str, str]) -> Response:
        """Store an answer, and claim the next pair; both are on the disk before the response."""
        self.site.tokens.check(annotator.token, form)
        pair, given = answer_from(form, self.settings.questions)
        with self.study.database.writing() as session:
            outcome = store_answer(session, annotator, pair, given)
            current(session, annotator, self.settings)
        if outcome in ("unknown", "changed elsewhere"):
            return self.site.page("conflict", 409, **self.common(annotator))
        return self.back(annotator)

    def back(self, annotator: Annotator) -> Response:
        """To the pair that waits."""
        return RedirectResponse(f"/a/{annotator.token}", 303)

    def common(self, annotator: Annotator) -> dict[str, Any]:
        """What every page needs."""
        return {"home": f"/a/{annotator.token}", "proof": self.site.tokens.issue(annotator.token)}


def answer_from(form: Mapping[str, str], questions: tuple[str, ...]) -> tuple[int, Given]:
    """(assignment, answer) of a form. Raises 400 for what none of our pages sends."""
    try:
        pair, revision = int(form["pair"]), int(form["revision"])
        if not (0 <= pair < 2**31 and 0 <= revision < 2**31):
            raise ValueError("out of range")
        asked = {name: side_from(form[f"question_{name}"]) for name in questions if form.get(f"question_{name}")}
        return pair, Given(
            side=side_from(form["choice"]),
            revision=revision,
            seconds=seconds_from(form.get("seconds", "")),
            questions=asked,
            comment=form.get("comment", "").strip(),
        )
    except (KeyError, ValueError) as error:
        raise HTTPException(400, "The form is incomplete.") from error


def side_from(value: str) -> Side:
    """A side as the form names it. Raises ValueError for others."""
    return SIDES[SIDES.index(value)]


def seconds_from(value: str) -> float | None:
    """A time as the page's script measured it; None without one."""
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None
