"""Single tokens as people read them."""

from transformers import PreTrainedTokenizerBase

from hyperfit.data.characters import INCOMPLETE
from hyperfit.report.harmless import harmless

VISIBLE = str.maketrans({"\n": "↵", "\t": "⇥", "\r": "␍"})
"""White space that would not be seen."""


class Pieces:
    """Token id → what it adds to a text, white space made visible; its name in the vocabulary where that is nothing."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.before = tokenizer.encode("a", add_special_tokens=False)
        """Decoded alone, a token loses the space in front of it with many tokenizers (SentencePiece)."""
        self.start = str(tokenizer.decode(self.before))
        self.known: dict[int, str] = {}

    def __call__(self, token: int) -> str:
        """What to show for a token."""
        if token not in self.known:
            self.known[token] = self._read(token)
        return self.known[token]

    def _read(self, token: int) -> str:
        whole = str(self.tokenizer.decode([*self.before, token]))
        piece = whole[len(self.start) :] if whole.startswith(self.start) else str(self.tokenizer.decode([token]))
        shown = harmless(piece.translate(VISIBLE))
        if shown and INCOMPLETE not in shown:
            return shown
        return harmless(str(self.tokenizer.convert_ids_to_tokens(token))) or f"token {token}"
