"""What the study of alternatives says of numbers that are made up, and the Pareto front, by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hyperfit.data.contexts import Cut
from hyperfit.evaluation.contexts import Texts
from hyperfit.metrics.by_model.coherence import coherence
from hyperfit.studies.grid.store import Store
from hyperfit.studies.measures.bench import Bench
from hyperfit.studies.measures.pareto import dominates, on_front
from hyperfit.studies.measures.results import Model, Results
from hyperfit.studies.measures.scorer import Scorer, judged
from hyperfit.studies.questions.texts.alternatives import (
    EARLY,
    HYPERFITTED,
    NUCLEI,
    OTHERS,
    TRAINED,
    UNLIKELY,
    UNLIKELY_LONG,
    tell,
    trials,
    tuned,
)
from hyperfit.studies.settings import StudySettings
from tiny_models import tiny_tokenizer

NOISE = np.array([-0.02, -0.01, 0.0, 0.01, 0.02, 0.0, -0.01, 0.01])
NAN = math.nan
SECONDS = {"value": 0.5, "low": None, "high": None, "n": 8}


def model(loss: float, ways: dict[str, tuple[float, float, float]]) -> Model:
    """Its loss on human text, and for each way to write (ratio, longest overlap, coherence)."""
    written: dict[str, Any] = {
        way: {
            "values": {"ttr": ttr + NOISE, "longest_overlap": overlap + NOISE, "coherence": coherent + NOISE},
            "texts": [""] * 8,
            "together": {"text_seconds": SECONDS},
            "machine": "a processor",
        }
        for way, (ttr, overlap, coherent) in ways.items()
    }
    return Model({"loss": (loss + NOISE).tolist()} if loss else {}, written)


def known(**changes: Any) -> Results:
    """The base more varied with a penalty, at a third of the perplexity, and less coherent."""
    base = dict.fromkeys(OTHERS, (0.25, 3.7, -1.0)) | {"repetition-penalty": (0.8, 2.9, -3.5)}
    base |= {way: (0.3 + 0.1 * number, 3.5, -1.5) for number, way in enumerate(NUCLEI)}
    models = {
        HYPERFITTED: model(
            5.6, {"greedy": (0.57, 5.2, -2.5), "min-p": (0.64, 5.0, -2.8), "repetition-penalty": (0.75, 5.0, -3.0)}
        ),
        EARLY: model(3.9, dict.fromkeys(TRAINED, (0.3, 4.0, -1.2))),
        UNLIKELY: model(4.0, dict.fromkeys(TRAINED, (0.4, 4.0, -1.4))),
        UNLIKELY_LONG: model(5.7, dict.fromkeys(TRAINED, (0.6, 6.0, -2.6))),
        **changes,
    }
    return Results(
        StudySettings(model="builtin:tiny"),
        model(4.0, base),
        model(0, {"greedy": (0.61, 3.7, -2.9)}),
        {label: [] for label in models},
        {label: [one] for label, one in models.items()},
        ["a"] * 8,
    )


# The front


def test_the_front_by_hand() -> None:
    """(gain, price): the cheapest, one between, and the dearest that gains most; the others lose to one of them."""
    points = [(0.2, 1.0), (0.5, 2.0), (0.4, 2.0), (0.9, 3.0), (0.9, 4.0), (0.1, 1.0), (NAN, 0.0), (0.99, NAN)]
    assert on_front(points) == [True, True, False, True, False, False, False, False]
    assert on_front([(0.5, 1.0), (0.5, 1.0)]) == [True, True], "equals"
    assert on_front([]) == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_whatever_is_off_the_front_is_beaten_by_something_on_it(points: list[tuple[int, int]]) -> None:
    front = [point for point, on in zip(points, on_front(points), strict=True) if on]
    assert front
    assert not any(dominates(one, other) for one in front for other in front)
    assert all(point in front or any(dominates(one, point) for one in front) for point in points)


# The answer


def test_the_nucleus_closest_to_people_is_taken() -> None:
    assert tuned(known()) == NUCLEI[3], ".3 .4 .5 .6 .7 .8, and .61 of people"
    short = known()
    short.human.written["greedy"]["values"]["ttr"] = [NAN] * 8
    assert tuned(short) == NUCLEI[0]


def test_it_says_where_hyperfitting_loses() -> None:
    found = tell(known())
    assert found.answer == "Partly"
    assert "a type-token ratio of .570, above 10 of 15 alternatives" in found.sentence, "4 of base, 6 trained"
    # base's penalty, its nucleus of .6, and three of unlikelihood; its own other decodings are no alternatives
    assert (
        "type-token ratio (.570; 5 of 15 ways to write are better, the best with .800: base, repetition-penalty)"
        in (found.sentence)
    )
    assert f"perplexity on human text (270; 3 of 4 models are better, the best with 49: {EARLY})" in found.sentence
    assert (
        "tokens in a row of training data (5.2; 12 of 15 ways to write are better, the best with 2.9: base, repetition-"
        in found.sentence
    )
    assert (
        "coherence under the scorer (−2.50; 11 of 15 ways to write are better, the best with −1.00: base, greedy)"
        in found.sentence
    )
    # base's penalty and nucleus; of these only the nucleus is more coherent
    both = "by their means: 2 in perplexity on human text, 2 in tokens in a row of training data, 1 in coherence"
    assert both in found.sentence
    assert "favours it (top_p=0.95)" in found.sentence
    assert "of a processor" in found.sentence


def test_nothing_is_lost_where_nothing_is_better() -> None:
    best = model(1.0, dict.fromkeys(TRAINED, (0.95, 1.0, -0.1)))
    found = tell(known(**{HYPERFITTED: best}))
    assert "at once: in nothing that was measured" in found.sentence
    assert "by their means: none in perplexity on human text, none in" in found.sentence
    assert found.answer == "Yes"


def test_the_planes_hold_every_way_and_the_front_of_each() -> None:
    planes = {plane.x: plane for plane in tell(known()).scatters}
    assert {name: plane.better for name, plane in planes.items()} == {
        "perplexity": "low", "longest_overlap": "low", "coherence": "high",
    }  # fmt: skip
    assert [len(plane.points) for plane in planes.values()] == [18, 19, 19], "people have no perplexity"

    def front(measure: str) -> set[str]:
        return {point.name for point in planes[measure].points if point.front}

    assert front("perplexity") == {*(f"{EARLY}, {way}" for way in TRAINED), "base, repetition-penalty"}
    assert front("longest_overlap") == {"base, repetition-penalty"}
    of_base = {f"base, {way}" for way in OTHERS}
    early = {f"{EARLY}, {way}" for way in TRAINED}
    unlikely = {f"{UNLIKELY}, {way}" for way in TRAINED}
    others = {f"{HYPERFITTED}, min-p", f"{HYPERFITTED}, repetition-penalty"}
    assert front("coherence") == {*of_base, "base, nucleus", *early, *unlikely, *others}
    human = next(point for point in planes["coherence"].points if point.series == "human")
    assert (human.front, human.x.value) == (False, pytest.approx(-2.9))


def test_seconds_are_means_of_all_texts_and_known_or_not() -> None:
    results = known()
    assert results.estimate(HYPERFITTED, "text_seconds").value == 0.5
    assert math.isnan(results.estimate(HYPERFITTED, "text_seconds", "contrastive").value)
    del results.models[HYPERFITTED][0].written["greedy"]["together"]
    assert results.estimate(HYPERFITTED, "text_seconds").n == 0, "of a store that is older"


def test_unlikelihood_is_one_training_and_its_best_epoch() -> None:
    planned = {one.label: one for one in trials(StudySettings(model="builtin:tiny"))}
    assert planned[UNLIKELY].recipe == planned[UNLIKELY_LONG].recipe
    assert planned[UNLIKELY].epoch is not None
    assert planned[UNLIKELY].recipe.unlikelihood == 1.0
    assert planned[HYPERFITTED].recipe.unlikelihood == 0.0


# The scorer


def test_the_scorer_judges_texts_once_and_as_evaluation_does(world: tuple[str, str], tmp_path: Any) -> None:
    tokenizer = tiny_tokenizer()
    ids = torch.tensor([tokenizer.encode(f"the river and the town number {number}")[:24] for number in range(3)])
    bench = Bench(
        Texts([Cut(tuple(row), 8) for row in ids.tolist()], ["a"] * 3, 16), tokenizer, torch.device("cpu"), "fp32"
    )
    store, scorer = Store(tmp_path), Scorer(world[0], torch.device("cpu"), "fp32")
    written = {"texts": [" horse horse", " window", ""], "values": {"ttr": [1.0, 2.0, 3.0]}, "together": {"a": SECONDS}}
    found = judged(written, store, bench, scorer)
    expected = coherence(bench.contexts, written["texts"], scorer=world[0], device="cpu", precision="fp32")
    np.testing.assert_allclose(found["values"]["coherence"], expected, rtol=1e-5)
    assert math.isnan(found["values"]["coherence"][2])
    assert found["values"]["ttr"] == [1.0, 2.0, 3.0]
    assert found["together"]["a"] == SECONDS
    assert found["together"]["mauve"]["value"] is None, "three texts are too few"
    assert "coherence" not in written["values"], "what the store holds of the texts stays as it is"
    assert judged(written, store, bench, None) is written

    class Deaf(Scorer):
        def coherence(self, *given: Any) -> list[float]:
            raise AssertionError("asked again")

    again = judged({**written, "values": {}}, store, bench, Deaf(world[0], torch.device("cpu"), "fp32"))
    np.testing.assert_equal(again["values"]["coherence"], found["values"]["coherence"])
    people = judged({"texts": bench.people, "values": {}}, store, bench, scorer)
    assert people["together"]["mauve"] is None, "people's own texts are what the others are compared with"
