"""What the model decides: late blocks, and learning rates with the points they run through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperfit.recipes.defaults import default_late_blocks, default_rate


@pytest.mark.parametrize(("depth", "late"), [(30, 20), (22, 15), (28, 19), (12, 8), (3, 2), (2, 1), (1, 1)])
def test_two_thirds_of_the_blocks(depth: int, late: int) -> None:
    assert default_late_blocks(depth) == late


METHODS = ("full", "late-full", "lora", "late-lora")


@pytest.mark.parametrize(
    ("method", "width", "learning", "rate"),
    [
        ("full", 576, 1.0, 1e-4),
        ("full", 256, 1.0, 5.1e-4),
        ("full", 2048, 1.0, 7.9e-6),
        ("full", 4096, 1.0, 2.0e-6),
        ("late-full", 576, 20 / 30, 1.5e-4),
        ("late-full", 576, 10 / 30, 3.0e-4),
        ("lora", 576, 1.0, 1e-3),
        ("late-lora", 2048, 1.0, 2.8e-4),
    ],
)
def test_by_hand(method: str, width: int, learning: float, rate: float) -> None:
    assert default_rate(method, width, learning) == rate


@given(method=st.sampled_from(METHODS), width=st.integers(8, 20_000), learning=st.floats(0.01, 1.0))
def test_a_rate_that_a_recipe_takes(method: str, width: int, learning: float) -> None:
    assert 0 < default_rate(method, width, learning) <= 1
    assert default_rate(method, 2 * width, learning) <= default_rate(method, width, learning)
