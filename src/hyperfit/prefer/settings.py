"""What makes a study of preference."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hyperfit.errors import UserError

Design = Literal["p1", "pairs"]
Question = Literal["coherence", "fluency", "interest"]


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """Which pairs of texts are judged, by how many, and what is asked."""

    design: Design = "p1"
    """p1: each continuation against the original human text, as the first paper did; pairs: every two conditions
    against each other."""
    texts: Path | None = None
    """In place of runs: a .jsonl file of texts of any generator, as hyperfit evaluate --texts takes it."""
    conditions: tuple[str, ...] = ()
    """Those to judge, such as hyperfitted/greedy; none named: all there are."""
    contexts: int = 100
    """Most contexts, as many of each domain as there are of the others."""
    annotators: int = 3
    """How many different people judge each pair."""
    per_annotator: int | None = None
    """Most pairs that one annotator is given. None: as many as there are."""
    gold: int = 0
    """For each annotator, so many pairs with a known answer: an original text against its own words shuffled."""
    repeats: int = 0
    """For each annotator, so many pairs that come a second time, with sides changed."""
    questions: tuple[Question, ...] = ()
    """Further questions beside the preference."""
    seed: int = 0
    """Of the contexts that are taken, the sides, and each annotator's order."""

    def __post_init__(self) -> None:
        least = {"contexts": 1, "annotators": 1, "per_annotator": 1, "gold": 0, "repeats": 0}
        problems = [
            f"--{name.replace('_', '-')} {getattr(self, name)}: give {low} or more"
            for name, low in least.items()
            if getattr(self, name) is not None and getattr(self, name) < low
        ]
        doubled = sorted({name for name in self.questions if self.questions.count(name) > 1})
        problems += [f"--questions {name}: is named twice; name it once" for name in doubled]
        if problems:
            raise UserError(*problems)
