"""Continuations of both models as events for the page."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from hyperfit.data.special_tokens import token_ids
from hyperfit.errors import UserError
from hyperfit.generation.continuations import continuation_text
from hyperfit.mechanism.pair.pair import SIDES, Side
from hyperfit.models.devices import autocast
from hyperfit.models.structure.vocabulary import check_embedded
from hyperfit.numbers import COUNT, PERCENT
from hyperfit.play.app.asked import Asked
from hyperfit.play.checks import CheckedPlay
from hyperfit.play.settings import PlaySettings
from hyperfit.play.tokens.choosing import Stopped, chooser
from hyperfit.play.tokens.dial import Dial
from hyperfit.play.tokens.looks import GrowingText, Look
from hyperfit.play.tokens.pieces import Pieces
from hyperfit.play.tokens.stream import Candidate, Step, write
from hyperfit.report.harmless import harmless

LEAD = 90
"""Most characters of the context that stand before each text."""
RAREST = 0.001
"""Probabilities below it are told as such."""
Event = dict[str, Any]
"""What the page is told, as JSON holds it."""


class Playground:
    """The models of a run, its tokenizer and training data; one continuation at a time."""

    def __init__(self, checked: CheckedPlay, settings: PlaySettings) -> None:
        self.checked, self.tokenizer = checked, checked.tokenizer
        self.pieces = Pieces(checked.tokenizer)
        self.dial = Dial(checked.run.path, device=checked.device, precision=checked.precision)
        self.turns = self.dial.turns
        positions = checked.positions or settings.longest + settings.new_tokens
        self.most_new_tokens = max(min(settings.new_tokens, positions - 1), 1)
        self.positions = positions
        self.longest = max(min(settings.longest, positions - 1), 1)

    def context(self, asked: Asked) -> list[int]:
        """The tokens that are continued. Raises UserError where they are none, too many or unknown to the model."""
        (ids,) = token_ids(self.tokenizer, [asked.context])
        check_embedded(self.checked.run.recipe.model, self.tokenizer, [ids])
        if not ids:
            raise UserError("Context: it has no token to continue; type another text")
        if len(ids) > self.longest:
            raise UserError(f"Context: it has {len(ids)} tokens, and {self.longest} are the most; shorten it")
        if len(ids) + asked.new_tokens > self.positions:
            raise UserError(
                f"New tokens: with a context of {len(ids)} tokens that is more than the {self.positions} that the "
                f"model reads; give at most {self.positions - len(ids)}, or shorten the context"
            )
        return ids

    def events(self, asked: Asked, context: list[int], stopped: Callable[[], bool]) -> Iterator[Event]:
        """A start, the steps of both sides, and an end; ends early once ``stopped`` says so."""
        yield {"event": "start", "tokens": len(context), "lead": lead(asked.context)}
        pair = self.dial.at(asked.strength)
        index = self.checked.training.index if self.checked.training else None
        decode = partial(continuation_text, self.tokenizer, context)
        texts = {side: GrowingText(decode, index) for side in SIDES}
        with autocast(self.checked.device, self.checked.precision):
            try:
                choose = {
                    side: chooser(
                        pair,
                        side,
                        self.tokenizer,
                        context,
                        asked.decoding,
                        new_tokens=asked.new_tokens,
                        seed=asked.seed,
                        stopped=stopped,
                    )
                    for side in SIDES
                }
            except Stopped:
                return
            for step in write(pair, context, choose, asked.new_tokens):
                yield self.told(step, texts[step.side])
                if stopped():
                    return
        yield {"event": "end"}

    def told(self, step: Step, text: GrowingText) -> Event:
        """A step, as the page is told it: its token, and what looks different now."""
        if step.chosen is None:
            return {"event": "ended", "side": named(step.side)}
        looks = text.add(step.chosen.token)
        sources = {look.recited for look in looks.values() if look.recited is not None}
        return {
            "event": "token",
            "side": named(step.side),
            "chosen": self.candidate(step.chosen),
            "alternatives": [self.candidate(one) for one in step.alternatives],
            "looks": {str(number): plain(look) for number, look in looks.items()},
            "sources": {str(number): self.source(number) for number in sorted(sources)},
        }

    def candidate(self, one: Candidate) -> Event:
        """A token with its probabilities and ranks, in words, too."""
        return {
            "token": one.token,
            "text": self.pieces(one.token),
            "probability": one.probability,
            "percent": chance(one.probability),
            "rank": one.rank,
            "ordinal": COUNT(one.rank),
            "other_probability": one.other_probability,
            "other_percent": chance(one.other_probability),
            "other_rank": one.other_rank,
            "other_ordinal": COUNT(one.other_rank),
        }

    def source(self, sequence: int) -> dict[str, str]:
        """What is recited, harmless for a page."""
        assert self.checked.training is not None
        return {name: harmless(text) for name, text in self.checked.training.source(sequence).items()}


def lead(context: str) -> str:
    """The last words of a context, harmless, after an ellipsis; all of a short one."""
    end = context[-LEAD:]
    words = context if end == context else f"… {end.partition(' ')[2] or end}"
    return harmless(words.lstrip())


def chance(probability: float) -> str:
    """A probability in words; what is rare is not told as none."""
    return PERCENT.told(probability) if probability >= RAREST or not probability else f"< {PERCENT.told(RAREST)}"


def named(side: Side) -> str:
    """A side as pages call it."""
    return "hyperfitted" if side == "tuned" else "base"


def plain(look: Look) -> Event:
    """A look as JSON holds it; its text harmless."""
    return {"text": harmless(look.text), "colour": look.colour, "first": look.first, "recited": look.recited}
