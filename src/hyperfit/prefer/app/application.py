"""The app as a server runs it."""

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from hyperfit.prefer.app import annotators, owner
from hyperfit.prefer.app.site import Site
from hyperfit.web.guard import Guard
from hyperfit.web.headers import SecureHeaders

MESSAGES = {
    400: ("That did not work", "The form was incomplete. Go back, load the page again, and repeat."),
    403: ("That did not work", "The form is too old or comes from elsewhere. Load the page again, and repeat."),
    404: ("Nothing here", "There is no such page. If you were sent a link, check that it is whole."),
    405: ("That did not work", "This address takes no such request."),
    413: ("That is too much", "A comment has 2,000 characters at most."),
    415: ("That did not work", "A form was expected."),
    429: ("A little slower, please", "There were too many requests. Wait a minute, then load the page again."),
}


def application(site: Site, hosts: tuple[str, ...] | None) -> ASGIApp:
    """All pages. hosts: names by which the server may be asked; None for any."""
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.add_exception_handler(HTTPException, lambda _, error: refusal(site, error))
    app.add_route("/files/{name}", site.files.answer)
    app.include_router(annotators.routes(site))
    app.include_router(owner.routes(site))

    @app.get("/")
    def root() -> Response:
        return site.page("message", title="A study of texts", text="You take part with the link that you were sent.")

    @app.get("/robots.txt")
    def robots() -> Response:
        return PlainTextResponse("User-agent: *\nDisallow: /\n")

    return SecureHeaders(Guard(app, hosts, site.url))


def refusal(site: Site, error: Exception) -> Response:
    """A page for what does not work."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    title, text = MESSAGES.get(status, ("That did not work", "Load the page again, and repeat."))
    response = site.page("message", status, title=title, text=text)
    if status == 429:
        response.headers["Retry-After"] = "30"
    return response
