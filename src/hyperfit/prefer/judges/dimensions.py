"""What a judge is asked of two continuations: the dimensions of the group of Li et al. (2026)."""

from typing import Literal, get_args

Dimension = Literal[
    "overall",
    "fluency",
    "coherence",
    "factuality",
    "informativeness",
    "interestingness",
    "story_development",
]
OVERALL: Dimension = "overall"
"""Always asked: the preference itself. The others are further questions."""
ALL: tuple[Dimension, ...] = get_args(Dimension)
ASKED: dict[Dimension, str] = {
    "overall": "which is the better continuation, all in all",
    "fluency": "which is better language: grammatical, natural, without needless repetition",
    "coherence": "which follows better from the beginning and hangs together better in itself",
    "factuality": "which agrees better with facts and holds fewer false or contradictory claims",
    "informativeness": "which tells more that is of substance",
    "interestingness": "which one would rather read on",
    "story_development": "which carries story or argument further, instead of standing still",
}
"""Dimension → the question."""
