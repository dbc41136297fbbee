"""What a training and what is measured of it are expected to take, by hand."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hyperfit.recipes.recipe import Recipe
from hyperfit.studies.catalogue import load_study
from hyperfit.studies.grid.plan import CONTINUATION, USUAL_EPOCHS, Planned, Planner, Size
from hyperfit.studies.grid.schedule import fitting, plan_lines
from hyperfit.studies.grid.store import Store
from hyperfit.studies.grid.wanted import Wanted
from hyperfit.studies.questions.mechanism.inside import ROUNDS
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Trial


def planned(name: str, seconds: float, *, done: bool = False) -> Planned:
    trial = Trial(name, Recipe(model="m", data="d"))
    return Planned(Wanted(trial, (("main", trial),)), done, seconds, 10**6, 10**6)


def test_what_a_budget_leaves_out_is_told_before_it_is_spent() -> None:
    """10, 50, 20 and 5 s in 40 s: one after another the second is passed over; of two processes each has 40 s."""
    four = [planned("a", 10), planned("b", 50), planned("c", 20), planned("d", 5), planned("e", 0, done=True)]
    lines = plan_lines(four, 40)
    assert lines[0] == "5 trainings, 1 of them done"
    assert "of which what fits into 40 s is done, in this order: 3, in about 35 s" in lines
    assert lines[-4:] == [
        "  a-seed0 (main): about 10 s",
        "  b-seed0 (main): about 50 s; left out: more than is left of the budget",
        "  c-seed0 (main): about 20 s",
        "  d-seed0 (main): about 5 s",
    ]
    two = [planned("a", 30), planned("b", 30), planned("c", 20), planned("d", 10)]
    assert [one.trial.label for one in fitting(two, 40)] == ["a", "d"]
    assert [one.trial.label for one in fitting(two, 40, 2)] == ["a", "b", "d"]
    assert fitting(two, None) == two


def test_operations_by_hand() -> None:
    """Forward 2 a parameter, backward 2 to states and 2 to weights that learn; a head always passes gradients on."""
    size = Size(blocks=6, block=1000, head=500, total=7000)
    recipe = Recipe(model="m", data="d", samples=10, length=8, late_blocks=2)
    assert size.operations(recipe) == 80 * (4 * 2 * 1000 + 4 * 500)
    whole = Recipe(model="m", data="d", samples=10, length=8, method="late-full", late_blocks=2)
    assert size.operations(whole) == 80 * (6 * 2 * 1000 + 4 * 500)
    full = Recipe(model="m", data="d", samples=10, length=8, method="full")
    assert size.operations(full) == 80 * (6 * 6 * 1000 + 6 * 500)
    assert size.trained(full) == 7000
    assert size.trained(whole) == 2000


def test_the_estimate_grows_with_what_is_measured(tmp_path: Path) -> None:
    """Texts of 128 tokens count once for each way to write of a model, those of 256 twice; nothing is twice."""
    settings = StudySettings(model="builtin:tiny")
    names = ("main", "memorisation", "sharpening", "strength")
    planner = Planner(Store(tmp_path), settings, {name: load_study(name) for name in names})
    trial = Trial("a", settings.recipe)

    def rounds(*models: tuple[str, Trial]) -> float:
        return planner.rounds(Wanted(trial, models))

    ways = 2 * (9 + 5)
    main = ways + 2 * ways + ROUNDS
    assert rounds(("main", trial)) == main, "ten decodings, one of five beams, and with citations blocked; again at 256"
    assert rounds(("memorisation", trial)) == 3
    assert rounds(("main", trial), ("memorisation", trial)) == main
    assert rounds(("main", trial), ("sharpening", trial)) == main + 1, "what both models expect next"
    half = replace(trial, strength=0.5)
    assert rounds(("strength", trial), ("strength", half)) == 2, "two models"
    planner = replace(planner, settings=replace(settings, total=300))
    assert rounds(("main", trial)) == ways + ROUNDS, "256 tokens are no longer texts"
    one, two = (planner.one(Wanted(trial, models)) for models in ((), (("strength", half),)))
    both = settings.most_contexts + CONTINUATION
    assert two.seconds - one.seconds == pytest.approx(both * planner.of_a_text), "it answers questions, too"


def test_epochs_are_those_that_others_took_by_hand() -> None:
    """The same with another seed, else the median of this model, method and loss, at most what the recipe allows."""
    recipe = Recipe(model="builtin:tiny", data="builtin:fiction", stop_loss=0.1, epochs=40, lr=1e-3)

    def ended(epochs: int, reason: str = "loss", **changes: Any) -> Any:
        return SimpleNamespace(
            recipe=replace(recipe, **changes), end={"reason": reason}, events=lambda name: [{}] * (epochs + 1)
        )

    def epochs(*runs: Any, **changes: Any) -> float:
        store: Any = SimpleNamespace(runs=lambda: iter(runs))
        return Planner(store, StudySettings(model="builtin:tiny"), {}).epochs(replace(recipe, **changes))

    others = [ended(4, lr=1e-4), ended(6, lr=2e-4), ended(20, samples=7)]
    left = [ended(30, method="full"), ended(30, stop_loss=0.01), ended(1, "nan", lr=1.0)]
    assert epochs() == epochs(*left) == USUAL_EPOCHS == 12
    assert epochs(*others, *left) == 6
    assert epochs(*others, epochs=5) == 5
    assert epochs(*others, ended(9, seed=3), ended(11, seed=4)) == 10
    assert epochs(*others, stop_loss=None) == 40
