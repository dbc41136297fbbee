"""What the annotators' and the owner's pages have in common."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from starlette.responses import HTMLResponse

from hyperfit.prefer.store.study import OpenStudy
from hyperfit.web.files import KINDS, Files
from hyperfit.web.forms import FormTokens
from hyperfit.web.rates import RateLimit
from hyperfit.web.signin import SignIn
from hyperfit.web.templates import page_templates

PAGES = Path(__file__).parent / "pages"


@dataclass(frozen=True)
class Limits:
    """How often who may ask."""

    annotator: RateLimit = field(default_factory=lambda: RateLimit(per_minute=240, burst=120))
    """By token: many may share an address."""
    stranger: RateLimit = field(default_factory=lambda: RateLimit(per_minute=20, burst=20))
    """By address, for tokens that there are not and wrong passwords."""


@dataclass(frozen=True)
class Site:
    """The study, and all that its pages need."""

    study: OpenStudy
    sign_in: SignIn
    url: str
    """Where annotators reach it."""
    tokens: FormTokens
    files: Files = field(
        default_factory=lambda: Files(sorted(path for path in PAGES.iterdir() if path.suffix in KINDS))
    )
    templates: jinja2.Environment = field(default_factory=lambda: page_templates(PAGES))
    limits: Limits = field(default_factory=Limits)

    def page(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page from its template."""
        html = self.templates.get_template(f"{name}.html.j2").render(files=self.files, **values)
        return HTMLResponse(html, status)
