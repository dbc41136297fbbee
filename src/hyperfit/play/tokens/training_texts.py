"""The training data as the page names it: where a recited span stands, and how the text there begins."""

from collections.abc import Callable, Sequence

from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.score import first_words


class TrainingTexts:
    """The sequences a run was trained on."""

    def __init__(
        self, sequences: Sequence[Sequence[int]], names: Sequence[str], decode: Callable[[Sequence[int]], str]
    ) -> None:
        """names: the document of each sequence: file and row. decode: tokens → text."""
        self.sequences, self.names, self.decode = sequences, names, decode
        self.index = TrainingIndex(sequences)
        """Finds what of a text stands in them."""

    def source(self, sequence: int) -> dict[str, str]:
        """The name of a sequence's document, and its first words."""
        return {"name": self.names[sequence], "begins": first_words(self.sequences[sequence], self.decode)}
