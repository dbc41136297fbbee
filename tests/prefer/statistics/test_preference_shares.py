"""Shares of a pair: worked by hand, and intervals that cover the truth as often as they say."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.statistics.clusters import share_interval, spread
from hyperfit.prefer.statistics.shares import (
    figures,
    length_of,
    one_hot,
    opponents_compared,
    oriented,
    shares,
    turned,
)
from simulated_studies import Population, judgement


def test_by_hand() -> None:
    rows = [judgement(judge, context, "first") for judge in "ab" for context in (1, 2)]
    rows += [judgement("a", 3, "equal"), judgement("b", 3, "second"), judgement("a", 4, "second")]
    rows += [judgement("b", 4, "second")]
    found = shares(rows)
    assert (found.preferred.value, found.equal.value, found.other_preferred.value) == (4 / 8, 1 / 8, 3 / 8)
    assert found.preferred_or_equal.value == pytest.approx(5 / 8)
    assert found.difference.value == pytest.approx(1 / 8)
    assert (found.annotators, found.contexts, found.preferred.n) == (2, 4, 8)


def test_the_variance_is_that_of_both_clusters_less_that_of_single_judgements() -> None:
    """The sandwich formula worked by hand: Σ (sum of residuals of a cluster)² / n², with its small-sample factor."""
    choices = {("a", 1): 1, ("a", 2): 1, ("a", 3): 0, ("b", 1): 1, ("b", 2): 1, ("b", 3): 0, ("c", 1): 1, ("c", 3): 0}
    rows = [judgement(judge, context, "first" if hit else "second") for (judge, context), hit in choices.items()]
    mean, n = 5 / 8, 8
    residuals = {key: hit - mean for key, hit in choices.items()}

    def part(place: int) -> float:
        names = {key[place] for key in residuals}
        sums = [sum(value for key, value in residuals.items() if key[place] == name) for name in names]
        return len(sums) / (len(sums) - 1) * sum(one**2 for one in sums) / n**2

    single = n / (n - 1) * sum(value**2 for value in residuals.values()) / n**2
    found = spread(rows, one_hot(rows), figures, resamples=50_000)
    assert found.alone[0] == pytest.approx(single, rel=0.03)
    assert found.variance[0] == pytest.approx(part(0) + part(1) - single, rel=0.12)


def test_one_annotator_alone_leaves_the_contexts() -> None:
    rows = [judgement("a", context, "first" if context % 3 else "second") for context in range(30)]
    found = shares(rows)
    assert found.design_effect == pytest.approx(1, abs=0.1)
    assert found.preferred.low < 2 / 3 < found.preferred.high


@pytest.mark.parametrize("contexts", [1, 5, 40])
def test_all_alike_does_not_claim_to_be_sure(contexts: int) -> None:
    """Wilson's interval of no hit in as many texts as there are contexts."""
    rows = [judgement(judge, context, "second") for judge in "abc" for context in range(contexts)]
    found = shares(rows).preferred_or_equal
    z = 1.959964
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(z**2 / (contexts + z**2), abs=1e-5)


def test_nothing_is_undefined() -> None:
    assert math.isnan(share_interval(math.nan, 0, 1, 0, 0).low)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 5), st.sampled_from(["first", "equal", "second"])),
        min_size=1,
        max_size=40,
        unique_by=lambda row: row[:2],
    )
)
def test_shares_are_shares_and_turning_the_pair_turns_them(rows: list[tuple[str, int, str]]) -> None:
    given_rows = [judgement(*row) for row in rows]  # type: ignore[arg-type]
    found, other = shares(given_rows, resamples=40), shares([turned(row) for row in given_rows], resamples=40)
    for one in (found.preferred, found.equal, found.other_preferred, found.preferred_or_equal):
        assert 0 <= one.low <= one.value <= one.high <= 1
    total = found.preferred.value + found.equal.value + found.other_preferred.value
    assert total == pytest.approx(1)
    assert found.preferred.value == other.other_preferred.value
    assert found.difference.value == -other.difference.value


@given(st.booleans(), st.sampled_from(["first", "equal", "second"]))
def test_human_is_the_second_of_its_pairs(swapped: bool, choice: str) -> None:
    one = judgement("a", 1, choice, swapped=swapped, questions={"coherence": "first"})  # type: ignore[arg-type]
    assert oriented([turned(one)]) == [one]
    assert turned(turned(one)) == one


def test_a_pair_has_the_order_in_which_it_came_first() -> None:
    one = judgement("a", 1, "first", first="x", second="y")
    assert oriented([one, turned(one)]) == [one, one]


def test_lengths_are_told_in_powers_of_two() -> None:
    at = {tokens: length_of(judgement("a", 1, "first", tokens=tokens)) for tokens in (0, 5, 128, 129, 256, 300)}
    assert at == {0: 32, 5: 32, 128: 128, 129: 256, 256: 256, 300: 512}


@pytest.mark.parametrize(
    ("population", "annotators", "contexts"),
    [
        (Population(mean=-0.5, annotators=0.5, contexts=1.0), 12, 60),
        (Population(mean=-1.5, annotators=1.0, contexts=0.3), 20, 40),
        (Population(mean=0.0, annotators=0.3, contexts=1.5), 6, 40),
    ],
)
def test_intervals_cover_the_truth_at_their_rate(population: Population, annotators: int, contexts: int) -> None:
    """95 % of 240 studies, give or take three standard errors of that count."""
    truth, studies = population.truth(), 240
    covered = dict.fromkeys(truth, 0)
    for seed in range(studies):
        found = shares(population.study(seed, annotators, contexts), resamples=200)
        for name, true in truth.items():
            one = getattr(found, name)
            covered[name] += one.low <= true <= one.high
    for name, count in covered.items():
        assert 0.908 <= count / studies <= 0.992, name


def test_intervals_that_see_no_clusters_would_not() -> None:
    """The same studies, each judgement taken for independent: what the clusters are for."""
    population = Population(mean=-0.5, annotators=1.2, contexts=1.5)
    true, covered, studies = population.truth()["preferred_or_equal"], 0, 100
    for seed in range(studies):
        rows = population.study(seed, 6, 40)
        found = spread(rows, one_hot(rows), figures, resamples=100)
        one = share_interval(float(found.value[3]), float(found.alone[3]), 1e9, len(rows), 40)
        covered += one.low <= true <= one.high
    assert covered / studies < 0.85


def test_conditions_are_compared_by_what_they_do_against_human_text() -> None:
    rows: list[Judgement] = []
    for context in range(20):
        for judge in "abc":
            rows.append(judgement(judge, context, "first" if context % 2 else "second"))
            choice = "first" if context % 4 == 1 else "second"
            item = f"base {context}"
            rows.append(judgement(judge, context, choice, item=item, first="base/greedy"))  # type: ignore[arg-type]
    ((pair, found),) = opponents_compared(rows).items()
    assert pair == ("hyperfitted/greedy", "base/greedy")
    assert found.value == pytest.approx(1 / 4)
    assert 0 < found.low < 1 / 4 < found.high
