"""How each token of a growing text looks: its characters, the repeated span it is in, what it recites."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hyperfit.metrics.copying.memorisation import Span, copied_spans
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.report.texts.repetition import repeated_spans


@dataclass(frozen=True)
class Look:
    """How one token looks."""

    text: str
    """The characters that it adds; "" for one that ends within a character."""
    colour: int | None = None
    """Of the repeated span that it is in."""
    first: bool = False
    """Whether a repeated span, or the next round of one, begins in it."""
    recited: int | None = None
    """The training sequence that it is recited from."""


@dataclass
class GrowingText:
    """A text that gets longer by a token at a time.

    A token that is neither letter nor digit, and one within a character, can change what stands before it; so the looks
    of tokens that were there already can change, too.
    """

    decode: Callable[[Sequence[int]], str]
    """Tokens of the text → its characters, without any that the last token does not finish."""
    index: TrainingIndex | None = None
    """Of the training data; None: what is recited is not known."""
    ids: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """Where each token's characters end."""
    text: str = ""
    recited: list[Span] = field(default_factory=list)
    """What is recited so far."""
    looks: list[Look] = field(default_factory=list)

    def add(self, token: int) -> dict[int, Look]:
        """Number of a token → its look, of the new one and of those that look different now."""
        self.ids.append(token)
        text = self.decode(self.ids)
        common = common_beginning(self.text, text)
        self.ends = [*(min(end, common) for end in self.ends), len(text)]
        self.text = text
        self.recited = [] if self.index is None else copied_spans(self.ids, self.index)
        before, self.looks = self.looks, self._looks()
        return {
            number: look for number, look in enumerate(self.looks) if number >= len(before) or look != before[number]
        }

    def _looks(self) -> list[Look]:
        colours, firsts = self._repeats()
        recited: dict[int, int] = {}
        for span in self.recited:
            for place in range(span.start, span.end):
                recited.setdefault(place, span.document)
        starts = [0, *self.ends[:-1]]
        return [
            Look(self.text[start:end], colours.get(number), number in firsts, recited.get(number))
            for number, (start, end) in enumerate(zip(starts, self.ends, strict=True))
        ]

    def _repeats(self) -> tuple[dict[int, int], set[int]]:
        """(token → colour, tokens in which a piece begins): a token belongs to the piece of its last visible letter."""
        colours: dict[int, int] = {}
        firsts: set[int] = set()
        begin = 0
        for piece, colour in repeated_spans(self.text):
            end = begin + len(piece)
            if colour is not None:
                inside = [number for number in range(len(self.ends)) if begin < self._visible_end(number) <= end]
                colours |= dict.fromkeys(inside, colour)
                firsts |= set(inside[:1])
            begin = end
        return colours, firsts

    def _visible_end(self, number: int) -> int:
        """Where a token's characters end, white space behind them apart."""
        start = self.ends[number - 1] if number else 0
        seen = self.text[start : self.ends[number]].rstrip()
        return start + len(seen) if seen else self.ends[number]


def common_beginning(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    if other.startswith(one):
        return len(one)
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(other))
