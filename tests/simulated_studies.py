"""Studies with known preferences: annotators and contexts each push all of their judgements."""

import math
from dataclasses import dataclass

import numpy as np

from hyperfit.prefer.judgement import Choice, Judgement

NODES = 200


@dataclass(frozen=True)
class Population:
    """Whom and what a study draws from: a latent preference with ties in the middle."""

    mean: float
    annotators: float
    """Standard deviation between them, in logits."""
    contexts: float
    tie: float = 0.6
    """A latent preference smaller than that is a tie."""

    def truth(self) -> dict[str, float]:
        """Shares over all annotators and contexts there could be."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        at = self.mean + math.hypot(self.annotators, self.contexts) * nodes
        weights = weights / weights.sum()
        first = float(weights @ (1 / (1 + np.exp(-(at - self.tie)))))
        second = float(weights @ (1 / (1 + np.exp(at + self.tie))))
        shares = {"preferred": first, "equal": 1 - first - second, "preferred_or_equal": 1 - second}
        return {**shares, "difference": first - second}

    def study(self, seed: int, annotators: int, contexts: int, each: int = 3) -> list[Judgement]:
        """A study: every context judged by ``each`` of the annotators, in turn."""
        rng = np.random.default_rng(seed)
        people, texts = rng.normal(0, self.annotators, annotators), rng.normal(0, self.contexts, contexts)
        order = np.concatenate([rng.permutation(annotators) for _ in range(contexts * each // annotators + 1)])
        rows = []
        for context in range(contexts):
            for judge in dict.fromkeys(order[context * each : (context + 1) * each].tolist()):
                latent = self.mean + people[judge] + texts[context] + rng.logistic()
                choice: Choice = "first" if latent > self.tie else "second" if latent < -self.tie else "equal"
                rows.append(judgement(judge, context, choice))
        return rows


def judgement(judge: object, context: object, choice: Choice, **more: object) -> Judgement:
    """Of the hyperfitted model against the human text, unless told."""
    values = {
        "judge": str(judge),
        "item": f"item {context}",
        "context": f"context {context}",
        "domain": "news",
        "tokens": 128,
        "first": "hyperfitted/greedy",
        "second": "human",
        "choice": choice,
    }
    return Judgement(**{**values, **more})  # type: ignore[arg-type]
