"""Which pictures are completed, by what, and how."""

from dataclasses import dataclass
from typing import ClassVar

from hyperfit.errors import UserError
from hyperfit.generation.decodings import decoding_problems
from hyperfit.generation.settings import CITATION_TOKENS, too_small, useless_citation_flags
from hyperfit.recipes.recipe import Precision

GRID = "completions.png"
"""What is shown of completions, in the folder of a run."""
LINES = "completions.jsonl"
"""All completions as text, one a line."""


@dataclass(frozen=True, kw_only=True)
class CompletionSettings:
    """Which pictures to complete, with what, and how. Raises UserError naming every bad field."""

    model: str
    """A run on pictures, which is compared with its base model, or any model of pictures: a folder or a hub id."""
    pictures: str | None = None
    """What is completed: a .png, .jpg, .npz or .parquet file, a folder of them, a hub data set or builtin:shapes. None:
    the pictures that the run holds out."""
    image_column: str | None = None
    """Column, or array of an .npz file, of --pictures that holds them. None: "image", "img", or the only one."""
    skip_unusable: bool = False
    """Pass over pictures that cannot be used, and name each; else they are an error."""
    count: int = 48
    """Pictures, chosen at random; all there are, if they are fewer."""
    share: float = 0.25
    """Of each picture, from the top, that is given."""
    decodings: tuple[str, ...] = ("greedy", "nucleus")
    """How the models go on: by name, or with other values, as in nucleus:top_p=0.95."""
    block_citations: bool = False
    """Complete with the hyperfitted model once more by each decoding, citations of its training pictures blocked; only
    for runs, which know them."""
    citation_tokens: int = CITATION_TOKENS
    """Pixels in a row, read row by row, that must stand in a training picture for the one that follows them there to be
    forbidden. Few of them forbid what follows on any plain ground."""
    citation_generated_only: bool = False
    """Count only pixels that were added among them: a citation may then begin with the last ones given, and run past
    them."""
    citation_whole_words: ClassVar[bool] = False
    """Pixels make no words."""
    features: str | None = None
    """Compare completions with real continuations in the features of this model, too: an encoder of pictures (a folder,
    or a hub id), or a model of pictures as this command takes it. None: by their own statistics alone."""
    seed: int = 0
    """Seed of the choice of pictures and of the sampling."""
    batch_size: int | None = None
    """Pictures completed at once. None: as many as memory holds."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    precision: Precision = "auto"
    """fp32, or bf16 as in training under it; auto: fp32 on the CPU, else as training chooses."""

    def __post_init__(self) -> None:
        problems = too_small(self, count=1, citation_tokens=1, batch_size=1, seed=0)
        problems += decoding_problems(self.decodings, "--decodings")
        if not 0 < self.share < 1:
            problems.append(f"--share {self.share:g}: give a share between 0 and 1; the paper takes 0.25")
        if not self.decodings:
            problems.append("--decodings: name one at least")
        if self.pictures is None and (self.image_column is not None or self.skip_unusable):
            problems.append("--image-column and --skip-unusable say how --pictures are read; give these, too")
        if not self.block_citations:
            problems += useless_citation_flags(self, "--block-citations")
        if problems:
            raise UserError(*problems)
