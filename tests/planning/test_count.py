"""What is held and computed, counted: values worked by hand, with values and without."""

from contextlib import nullcontext

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from hyperfit.planning.count import Count


@pytest.fixture(params=["values", "fake"])
def mode(request: pytest.FixtureRequest) -> object:
    return nullcontext() if request.param == "values" else FakeTensorMode()


def test_a_product_is_held_until_it_is_let_go(mode: nullcontext[None]) -> None:
    """4 × 8 by 8 × 16 in fp32: 128 + 512 bytes go in, 256 come out, with 2 · 4 · 8 · 16 operations."""
    with mode:
        left, right = torch.zeros(4, 8), torch.zeros(8, 16)
        count = Count()
        count.see([left, right])
        assert count.held == count.peak == 128 + 512
        with count:
            product = left @ right
            assert (count.held, count.operations) == (128 + 512 + 256, 2 * 4 * 8 * 16)
            view = product[0]
            del product
            assert count.held == 128 + 512 + 256  # the view keeps it
            del view
            assert count.held == 128 + 512
        assert count.peak == 128 + 512 + 256
        count.forget_peak()
        assert count.peak == 128 + 512


def test_what_is_seen_twice_counts_once_and_the_meta_device_is_no_memory() -> None:
    count, one = Count(), torch.zeros(10)
    count.see([one, one[2:], torch.zeros(1000, device="meta")])
    assert count.held == 40


def test_attention_counts_on_the_cpu_as_elsewhere() -> None:
    """Two products of 5 × 4 and 5 × 5 a head forward; backward five (Dao et al. 2022, as torch counts them)."""
    query, key, value = (torch.randn(1, 2, 5, 4, requires_grad=True) for _ in range(3))
    with Count() as count:
        result = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        assert count.operations == 2 * (2 * 2 * 5 * 5 * 4)
        result.sum().backward()
        assert count.operations == 2 * (7 * 2 * 5 * 5 * 4)
