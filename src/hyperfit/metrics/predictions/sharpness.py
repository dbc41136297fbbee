"""How sharp a model's predictions are on given texts: likelihood, entropy, mass of the best tokens."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from hyperfit.metrics.estimate import Estimate, estimate
from hyperfit.metrics.predictions.predict import Bound, Floats, Model, Predictions, Reader, Texts, predict, text_means


@dataclass(frozen=True)
class Sharpness:
    """Teacher-forced predictions on texts; means over the counted positions of each text, NaN for a text without."""

    loss: Floats
    """float64[texts]: nats per token; exp of its mean is the perplexity."""
    entropy: Floats
    """float64[texts]: nats, in [0, log vocabulary]."""
    top: dict[int, Floats]
    """@1, @3, @5 → float64[texts]: probability of the k best tokens together, in (0, 1]."""
    accuracy: Floats
    """float64[texts]: share of positions at which the likeliest token is the text's, in [0, 1]."""

    def estimates(self) -> dict[str, Estimate]:
        """Perplexity, entropy, @1, @3, @5 over the texts, each with its n and interval."""
        return {
            "perplexity": estimate(self.loss, math.exp),
            "entropy": estimate(self.entropy),
            **{f"top{k}_mass": estimate(mass) for k, mass in self.top.items()},
        }


def sharpness(
    model: Model | Reader,
    texts: Texts,
    *,
    skip: Bound = 1,
    until: Bound | None = None,
    batch_size: int = 8,
    advance: Callable[[int], None] = lambda done: None,
) -> Sharpness:
    """Measure a model on texts, at their tokens from ``skip`` to before ``until`` (None: the end).

    Human text or the model's own after contexts of c tokens is measured with ``skip=c``, the contexts themselves with
    ``until=c``; c may be one number a text. To measure several parts in one reading, or their calibration, take
    ``predict`` and ``sharpness_of``. Entropy and @k: Carlsson et al. (2025), table 3. Perplexity: exp of the mean
    over texts of the mean loss of each.
    """
    seen = predict(model, texts, skip=skip, until=until, batch_size=batch_size, advance=advance)
    return sharpness_of(seen)


def sharpness_of(seen: Predictions) -> Sharpness:
    """Means of predictions over the positions of each text."""
    return Sharpness(
        text_means(seen.loss),
        text_means(seen.entropy),
        {k: text_means(mass) for k, mass in seen.mass.items()},
        text_means(seen.hit),
    )
