"""What the playground's page and its answers need."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
from starlette.responses import HTMLResponse

from hyperfit.generation.decodings import DECODINGS, spelled
from hyperfit.generation.processors.rules import SAMPLING
from hyperfit.metrics.copying.memorisation import LEAST_COPIED
from hyperfit.play.app.task import Writer
from hyperfit.play.playground import Playground
from hyperfit.report.texts.repetition import LEAST
from hyperfit.web.files import KINDS, Files
from hyperfit.web.forms import FormTokens
from hyperfit.web.rates import RateLimit
from hyperfit.web.templates import page_templates

PAGE = Path(__file__).parent / "page"
FORM = "playground"
"""Whose form it is."""
ABOUT = {
    "greedy": "the likeliest token each time",
    "nucleus": "sampling from the likeliest tokens",
    "top-k": "sampling from a number of likeliest tokens",
    "min-p": "sampling above a share of the likeliest one",
    "typical": "sampling of the most typical tokens",
    "eta": "sampling above a threshold that follows the entropy",
    "contrastive": "likely, and unlike what came before; shown once it is there",
    "beam": "several texts side by side; shown once they are there",
    "repetition-penalty": "greedy, what was said counts less",
    "no-repeat-ngram": "greedy, nothing is said twice",
}
"""Each decoding in a few words."""


@dataclass(frozen=True)
class Site:
    """The models, and all that is served of them."""

    playground: Playground
    writer: Writer = field(default_factory=Writer)
    tokens: FormTokens = field(default_factory=lambda: FormTokens(secrets.token_urlsafe(32)))
    files: Files = field(default_factory=lambda: Files(sorted(path for path in PAGE.iterdir() if path.suffix in KINDS)))
    templates: jinja2.Environment = field(default_factory=lambda: page_templates(PAGE))
    limit: RateLimit = field(default_factory=lambda: RateLimit(per_minute=60, burst=30))
    """Of continuations, by address."""

    def page(self) -> HTMLResponse:
        """The page itself."""
        template = self.templates.get_template("play.html.j2")
        play = self.playground
        recipe = play.checked.run.recipe
        html = template.render(
            files=self.files,
            proof=self.tokens.issue(FORM),
            run=play.checked.run.path.resolve().name,
            recipe=recipe,
            offers=play.checked.offers,
            decodings=DECODINGS,
            about=ABOUT,
            samples=SAMPLING,
            spelled=spelled,
            turns=play.turns,
            longest=play.longest,
            positions=play.positions,
            most_new_tokens=play.most_new_tokens,
            usual_new_tokens=min(96, play.most_new_tokens),
            knows_training=play.checked.training is not None,
            least_words=LEAST,
            least_copied=LEAST_COPIED,
        )
        return HTMLResponse(html)
