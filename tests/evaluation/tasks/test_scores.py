"""One number an example, and what guessing gives, from examples as lm-eval logs them."""

import math
from typing import Any

import numpy as np
import pytest

from hyperfit.errors import UserError
from hyperfit.evaluation.tasks.scores import Scores, scores_of


def logged(values: dict[str, Any], number: int = 0, **more: Any) -> dict[str, Any]:
    """One example as ``log_samples`` has it, asked for four choices."""
    return {
        "filter": "none", "metrics": list(values), "doc_hash": f"h{number}", "target": number % 4,
        "arguments": [(f"question {number}", f" {choice}") for choice in "ABCD"],
        "filtered_resps": [(-1.0 - place, False) for place in range(4)], **values, **more,
    }  # fmt: skip


def test_the_first_score_counts() -> None:
    samples = [logged({"perplexity": -3.0, "acc": np.float64(hit), "acc_norm": 1.0}, n) for n, hit in enumerate((0, 1))]
    found = scores_of("t", samples, choosing=True)
    assert (found.measure, found.values, found.loss) == ("acc", [0.0, 1.0], False)
    assert found.examples == ["h0", "h1"]
    assert found.answers == [[-1.0, -2.0, -3.0, -4.0]] * 2
    assert Scores.from_dict(found.to_dict()) == found


def test_labels_that_only_count_together_count_as_accuracy() -> None:
    """GLUE's CoLA has Matthews' correlation alone."""
    samples = [logged({"mcc": pair}, n) for n, pair in enumerate([(0, 0), (1, 0), (1, np.int64(1))])]
    found = scores_of("cola", samples, choosing=True)
    assert (found.measure, found.values) == ("accuracy", [1.0, 0.0, 1.0])


def test_losses_by_hand() -> None:
    bits = scores_of("w", [logged({"byte_perplexity": (-8 * math.log(2), 4)})], choosing=False)
    assert bits.values == pytest.approx([2.0])
    assert bits.loss
    assert math.isnan(bits.chance)
    assert "chance" not in bits.to_dict()
    words = scores_of("w", [logged({"word_perplexity": (-8.0, 4)})], choosing=False)
    assert words.values == [2.0]
    assert scores_of("w", [logged({"perplexity": -3.0})], choosing=False).values == [3.0]


def test_the_first_filter_counts() -> None:
    samples = [logged({"exact_match": 1.0}), logged({"exact_match": 0.0}, filter="other")]
    assert scores_of("t", samples, choosing=False).values == [1.0]


def test_a_task_without_a_number_an_example_is_refused() -> None:
    with pytest.raises(UserError, match=r"--tasks t: none of its measures \(bleu\) is one number an example"):
        scores_of("t", [logged({"bleu": ("a", "b")})], choosing=False)


def test_guessing_by_hand() -> None:
    labels = [logged({"acc": 1.0}, n, target=target) for n, target in enumerate([0, 0, 0, 1, 2])]
    assert scores_of("t", labels, choosing=True).chance == 0.6, "always the commonest label"
    even = [logged({"acc": 1.0}, n, target=n) for n in range(4)]
    assert scores_of("t", even, choosing=True).chance == 0.25
    own = [
        logged({"acc": 1.0}, n, target=0, arguments=[("q", f"{n} {place}") for place in range(2 + 2 * n)])
        for n in range(2)
    ]
    assert scores_of("t", own, choosing=True).chance == (1 / 2 + 1 / 4) / 2, "choices of their own have no common place"
    assert scores_of("t", labels, choosing=False).chance == 0.0


def test_choices_that_are_asked_for_twice_are_counted_once() -> None:
    twice = [(" q", " yes"), (" q", " no"), ("", " yes"), ("", " no")]
    found = [logged({"acc": 1.0, "acc_mutual_info": 1.0}, n, arguments=twice, target=n) for n in range(2)]
    assert scores_of("t", found, choosing=True).chance == 0.5
