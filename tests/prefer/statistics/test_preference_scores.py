"""A study's scores, worked by hand; reliability of annotators; strengths; tests and power."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.statistics.annotators import reliability
from hyperfit.prefer.statistics.score import score
from hyperfit.prefer.statistics.shares import shares
from hyperfit.prefer.statistics.significance import significance
from hyperfit.prefer.statistics.strengths import strengths
from simulated_studies import Population, judgement


def test_majority_gold_and_repeats_by_hand() -> None:
    rows = [
        *(judgement(judge, 1, "first") for judge in "ab"),
        judgement("c", 1, "second"),
        *(judgement(judge, 2, choice) for judge, choice in zip("abc", ("first", "second", "second"), strict=True)),  # type: ignore[arg-type]
        judgement("a", "gold", "first", purpose="gold", expected="first"),
        judgement("b", "gold", "equal", purpose="gold", expected="first"),
        judgement("a", 1, "first", purpose="repeat"),
        judgement("b", 2, "first", purpose="repeat"),
    ]
    together, each = reliability(rows)
    assert together.judgements == 6
    assert each["c"].with_majority.value == 0, "on item 1 two others chose first; on item 2 they are at odds"
    assert each["c"].with_majority.n == 1
    assert (each["a"].gold.value, each["b"].gold.value, together.gold.value) == (1, 0, 0.5)
    assert (each["a"].repeat.value, each["b"].repeat.value, together.repeat.n) == (1, 0, 2)
    assert math.isnan(each["c"].gold.value)


def test_who_always_takes_the_left_is_seen() -> None:
    rows = [
        judgement("a", context, "second" if swapped else "first", swapped=swapped, seconds=2.0 + context)
        for context, swapped in enumerate([True, False] * 4)
    ]
    _, each = reliability(rows)
    assert each["a"].left.value == 1
    assert each["a"].seconds == 5.5


def test_strengths_of_two_conditions_are_the_log_of_their_wins() -> None:
    rows = [judgement("a", context, "first") for context in range(30)]
    rows += [judgement("b", context, "second") for context in range(10)]
    rows += [judgement("c", context, "equal") for context in range(8)]
    reference, found = strengths(rows)
    assert reference == "human"
    assert found["hyperfitted/greedy"].log_odds.value == pytest.approx(math.log(34 / 14), abs=0.01)
    assert found["hyperfitted/greedy"].wins.value == pytest.approx(34 / 48, abs=0.003)
    assert found["human"].log_odds.value == 0


def test_strengths_of_three_conditions_are_the_maximum_of_the_likelihood() -> None:
    """Against a direct maximisation of the likelihood."""
    from scipy.optimize import minimize

    wins = {("x", "y"): (30, 12), ("y", "z"): (25, 14), ("x", "z"): (33, 9)}
    rows: list[Judgement] = []
    for (first, second), (won, lost) in wins.items():
        for number in range(won + lost):
            choice = "first" if number < won else "second"
            rows.append(judgement(number % 5, f"{first}{second}{number}", choice, first=first, second=second))  # type: ignore[arg-type]

    def loss(at: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
        s = dict(zip("xyz", (0.0, *at), strict=True))
        return sum(
            won * np.log1p(np.exp(s[two] - s[one])) + lost * np.log1p(np.exp(s[one] - s[two]))
            for (one, two), (won, lost) in wins.items()
        )

    best = minimize(loss, np.zeros(2)).x
    reference, found = strengths(rows, resamples=50)
    assert (reference, list(found)) == ("x", ["x", "y", "z"])
    assert [found[name].log_odds.value for name in "yz"] == pytest.approx(best, abs=0.005)
    for name in "yz":
        assert found[name].log_odds.low < found[name].log_odds.value < found[name].log_odds.high < 0


def test_who_never_wins_has_no_finite_strength() -> None:
    rows = [judgement("a", context, "second") for context in range(20)]
    assert math.isnan(strengths(rows)[1]["hyperfitted/greedy"].log_odds.value)
    rows += [
        judgement("a", context, "first" if context % 3 else "second", item=f"b {context}", first="base/greedy")
        for context in range(20)
    ]
    _, found = strengths(rows)
    assert list(found) == ["base/greedy", "human", "hyperfitted/greedy"]
    assert found["base/greedy"].log_odds.value == pytest.approx(math.log(13 / 7), abs=0.02)
    assert math.isnan(found["hyperfitted/greedy"].wins.value)
    assert found["hyperfitted/greedy"].wins.n == 20


def test_conditions_without_a_link_have_no_strengths() -> None:
    rows = [judgement("a", 1, "equal", first="x", second="y"), judgement("a", 2, "equal", first="z", second="w")]
    reference, found = strengths(rows)
    known = {name: one.log_odds.value for name, one in found.items()}
    assert (reference, known["x"], known["y"]) == ("x", 0, pytest.approx(0))
    assert math.isnan(known["z"])
    assert math.isnan(known["w"])


def test_strengths_cover_what_is_true() -> None:
    """Without ties and clusters the log-odds of a win are the population's mean."""
    population, covered = Population(mean=0.7, annotators=0.0, contexts=0.0, tie=0.0), 0
    for seed in range(60):
        _, found = strengths(population.study(seed, 8, 40), resamples=60)
        one = found["hyperfitted/greedy"].log_odds
        covered += one.low <= 0.7 <= one.high
    assert covered >= 53


def test_binomial_and_power_by_hand() -> None:
    """Independent judgements, each of a context and an annotator of its own: 60 won, 40 lost."""
    rows = [judgement(number, number, "first" if number < 60 else "second") for number in range(100)]
    found = shares(rows)
    told = significance(found)
    assert told.p_binomial == pytest.approx(stats.binomtest(60, 100).pvalue)
    assert found.design_effect == pytest.approx(1, abs=0.15)
    expected = (1.96 + 0.8416) ** 2 * (1 - 0.2**2) / 0.2**2
    assert told.needed == pytest.approx(expected, rel=0.1)
    assert told.more == told.needed - 100
    assert 0.03 < told.p < 0.07


def test_the_judgements_that_power_asks_for_do_show_the_difference() -> None:
    """Studies of the size needed for a difference as large as the true one find it about four times in five."""
    population, shown, studies = Population(mean=0.45, annotators=0.4, contexts=0.8), 0, 120
    truth = population.truth()
    true = 2 * truth["preferred"] + truth["equal"] - 1
    large = shares(population.study(0, 120, 800), resamples=300)
    per_judgement = large.variance * large.preferred.n
    needed = (1.96 + 0.8416) ** 2 * per_judgement / true**2
    contexts = round(needed / 3)
    for seed in range(studies):
        found = shares(population.study(seed, max(3, contexts * 120 // 800), contexts), resamples=100)
        shown += significance(found).p < 0.05
    assert 0.66 < shown / studies < 0.94


@pytest.mark.parametrize(
    ("contexts", "each", "p", "needed", "more"),
    [(1, 1, 1.0, 6, 5), (2, 3, 0.5, 18, 12), (5, 1, 0.0625, 6, 1), (6, 1, 0.03125, 6, 0), (8, 3, 2 / 2**8, 18, 0)],
)
def test_all_alike_is_shown_by_contexts_and_not_by_one_judgement(
    contexts: int, each: int, p: float, needed: int, more: int
) -> None:
    rows = [judgement(judge, context, "second") for context in range(contexts) for judge in range(each)]
    told = significance(shares(rows))
    assert told.p == pytest.approx(p)
    assert told.p_binomial == pytest.approx(2 / 2 ** len(rows))
    assert (told.needed, told.more) == (needed, more)


def test_no_difference_can_not_be_shown() -> None:
    rows = [judgement(number, number, "first" if number % 2 else "second") for number in range(20)]
    told = significance(shares(rows))
    assert (told.p, told.needed, told.more) == (1.0, None, None)


def test_scores_of_a_small_study() -> None:
    rows = [
        judgement(judge, context, choice, domain=domain, tokens=tokens, questions={"coherence": "equal"})  # type: ignore[arg-type]
        for context, (choice, domain, tokens) in enumerate(
            [("first", "news", 128), ("second", "news", 250), ("equal", "wiki", 128), ("second", "wiki", 256)]
        )
        for judge in "abc"
    ]
    rows.append(judgement("a", "gold", "first", purpose="gold", expected="second"))
    found = score(rows)
    pair = found.pairs["hyperfitted/greedy", "human"]
    assert (found.judgements, found.annotators, found.items, found.contexts) == (12, 3, 4, 4)
    assert pair.shares.preferred_or_equal.value == 0.5
    assert pair.by_domain["news"].preferred_or_equal.value == 0.5
    assert pair.by_domain["wiki"].equal.value == 0.5
    assert {length: one.preferred_or_equal.value for length, one in pair.by_length.items()} == {"128": 1, "256": 0}
    assert pair.questions["coherence"].equal.value == 1
    assert found.alpha.value == 1
    assert found.all_annotators.gold.value == 0
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["pairs"][0]["shares"]["preferred_or_equal"]["value"] == 0.5
    assert plain["each_annotator"]["b"]["gold"]["value"] is None
