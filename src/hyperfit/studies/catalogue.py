"""All studies, by name, in the order in which they are listed and run: what each asks, and where it lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperfit.studies.study import Study


@dataclass(frozen=True)
class Listed:
    """A study as it is listed, which needs nothing of what runs it."""

    question: str
    """That can be answered by yes or no."""
    source: str
    """Table, figure or section of the papers, or who asked."""
    module: str
    """Below ``hyperfit.studies.questions``; its STUDY says how the question is asked and answered."""


STUDIES: dict[str, Listed] = {
    "main": Listed(
        "Does hyperfitting make greedy text more varied?",
        "Carlsson et al. 2025, table 1; Li et al. 2026, table 1",
        "texts.main",
    ),
    "curves": Listed(
        "Does the text go on improving after the validation loss is best?",
        "Carlsson et al. 2025, figure 2",
        "training.curves",
    ),
    "memorisation": Listed(
        "Are the texts more than recitations of the training data?",
        "Carlsson et al. 2025, table 2 and figure 3",
        "texts.memorisation",
    ),
    "sharpening": Listed(
        "Do predictions become sharper while human text becomes less likely?",
        "Carlsson et al. 2025, table 3 and figure 4",
        "mechanism.sharpening",
    ),
    "alternatives": Listed(
        "Is hyperfitted greedy text more varied than what one would do instead?",
        "not in the papers",
        "texts.alternatives",
    ),
    "early-stop": Listed(
        "Does training on from the best validation loss to near-zero loss make the text more varied?",
        "asked for by reviewers of Carlsson et al. 2025",
        "training.early_stop",
    ),
    "strength": Listed(
        "Does less than the whole change keep the variety at half of the price?",
        "not in the papers",
        "mechanism.strength",
    ),
    "long-range": Listed(
        "Does the variety last in texts far longer than those of training?",
        "Carlsson et al. 2025, figure 9",
        "texts.long_range",
    ),
    "mechanism": Listed(
        "Is it more than sharper or shifted predictions of the base model?",
        "Li et al. 2026",
        "mechanism.inside",
    ),
    "order": Listed(
        "Does the order of the sequences alone change what a model prefers to say?",
        "Carlsson et al. 2025, figure 5",
        "training.order",
    ),
    "domain": Listed(
        "Does a model trained on one kind of text write varied text of other kinds, too?",
        "Carlsson et al. 2025, table 4; Li et al. 2026",
        "texts.domain",
    ),
    "late-stage": Listed(
        "Do adapters in late blocks alone write as varied as adapters everywhere?",
        "Li et al. 2026, table 2",
        "mechanism.late_stage",
    ),
    "stopping": Listed(
        "Can training itself tell when more of it stops paying?",
        "missing from the literature; asked for by readers of Li et al. 2026",
        "training.stopping",
    ),
    "quantity": Listed(
        "Do fewer sequences give less varied text?",
        "Carlsson et al. 2025, section 6.3",
        "training.quantity",
    ),
    "sensitivity": Listed(
        "Does the outcome hang on learning rate, batch, rank, sequences or the loss at which training stops?",
        "asked for by reviewers of Carlsson et al. 2025",
        "training.sensitivity",
    ),
    "dynamics": Listed(
        "Does anything come back when training goes on far beyond near-zero loss?",
        "Carlsson et al. 2025, section 7.2; Li et al. 2026 train for 260 epochs",
        "training.dynamics",
    ),
    "downstream": Listed(
        "Does hyperfitting keep what the base model can do on tasks?",
        "Carlsson et al. 2025, appendix B",
        "texts.downstream",
    ),
    "images": Listed(
        "Do greedy completions of pictures stop repeating, too?",
        "Carlsson et al. 2025, figure 8",
        "images",
    ),
}


def unknown(names: Sequence[str]) -> list[str]:
    """A problem, with what it may have been, for each name that is neither a study's nor ``all``."""
    problems = []
    for name in names:
        if name != "all" and name not in STUDIES:
            near = get_close_matches(name, STUDIES, 1)
            meant = f"did you mean {near[0]}?" if near else f"give one of {', '.join(STUDIES)}, or all"
            problems.append(f"study {name}: there is none; {meant}")
    return problems


def load_study(name: str) -> "Study":
    """How a study is done. Raises KeyError if there is none of the name."""
    found: Study = import_module(f"hyperfit.studies.questions.{STUDIES[name].module}").STUDY
    return found
