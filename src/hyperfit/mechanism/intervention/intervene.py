"""Does the change of the last layers cause the diversity? Swap, scale and undo it, and continue the same contexts."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.errors import UserError
from hyperfit.generation.continuations import continue_contexts
from hyperfit.mechanism.intervention.edits import edited, edits
from hyperfit.mechanism.intervention.findings import Curve, Intervention, Point, Values
from hyperfit.mechanism.intervention.mixture import mixed
from hyperfit.mechanism.intervention.settings import InterventionSettings
from hyperfit.mechanism.layers.capture import block_point, captured
from hyperfit.mechanism.layers.covariance import moments, plain_ratio
from hyperfit.mechanism.pair.pair import Pair
from hyperfit.metrics.predictions.sharpness import sharpness
from hyperfit.metrics.text.diversity import ngram_repetition, type_token_ratio
from hyperfit.models.structure.layout import inner_model, width_of


def intervene(
    pair: Pair,
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[Sequence[int]],
    human: Tensor,
    settings: InterventionSettings | None = None,
    *,
    advance: Callable[[int], None] = lambda done: None,
) -> Intervention:
    """Try every point of the curves.

    contexts: token ids to continue greedily. human: int64[texts, length], on which entropy, loss and the covariances of
    the last block's output are taken. Models that are the same by construction are run once. advance: called with 1
    after each model that was run; ``points_to_run`` says how many there are. Raises UserError for a rank beyond the
    width or more scaled blocks than the model has.
    """
    settings = settings or InterventionSettings()
    plan = swaps(pair, settings)
    problems = []
    width = width_of(inner_model(pair.tuned))
    problems += [f"--removed {rank}: the model is {width} wide" for rank in settings.ranks if rank > width]
    if settings.scaled_blocks and settings.scaled_blocks > pair.depth:
        problems.append(f"--scaled-blocks {settings.scaled_blocks}: the model has {pair.depth} blocks")
    if problems:
        raise UserError(*problems)
    last = block_point(pair.depth - 1)
    with captured(pair, human, skip=settings.skip, points=(last,)) as states:
        before, after = moments(lambda: states.side("base", last)), moments(lambda: states.side("tuned", last))

    def measured(altered: AbstractContextManager[PreTrainedModel | PeftModel]) -> dict[str, Values]:
        with altered as model:
            outcomes = _outcomes(model, tokenizer, contexts, human, settings)
        advance(1)
        return outcomes

    shared = pair.shared_blocks
    known: dict[tuple[float, ...], dict[str, Values]] = {}
    points = []
    for curve, amount, weights in plan:
        key = canonical(weights, shared)
        if key not in known:
            known[key] = measured(mixed(pair, weights))
        points.append(Point(curve, amount, known[key]))
    for edit in edits(before, after, ranks_of(settings, width), settings.amounts, seed=settings.seed):
        points.append(Point(edit.kind, edit.amount, measured(edited(pair.tuned, edit)), edit))
    ends = {point.amount: point for point in points if point.curve == "graft"}
    return Intervention(
        base=ends[0],
        tuned=ends[pair.depth],
        points=tuple(points),
        depth=pair.depth,
        dim_base=plain_ratio(before.covariance),
        dim_tuned=plain_ratio(after.covariance),
        variance=float(after.covariance.trace() / before.covariance.trace()),
        settings=settings,
    )


def swaps(pair: Pair, settings: InterventionSettings) -> list[tuple[Curve, float, tuple[float, ...]]]:
    """(curve, amount, weight of each block) for every mixture of the two models, n from 0 to depth.

    graft: the base with the tuned last n blocks. restore: the tuned model with the base's last n blocks. scale: the
    tuned model with the update of its last blocks at another strength.
    """
    depth = pair.depth
    plan: list[tuple[Curve, float, tuple[float, ...]]] = []
    for n in range(depth + 1):
        plan.append(("graft", n, (0.0,) * (depth - n) + (1.0,) * n))
        plan.append(("restore", n, (1.0,) * (depth - n) + (0.0,) * n))
    late = settings.scaled_blocks or depth
    plan += [("scale", scale, (1.0,) * (depth - late) + (scale,) * late) for scale in settings.scales]
    return plan


def canonical(weights: Sequence[float], shared: int) -> tuple[float, ...]:
    """The weights that matter where the first ``shared`` blocks are the same: mixtures equal in them are one model."""
    return tuple(weights[min(shared, len(weights) - 1) :])


def points_to_run(pair: Pair, settings: InterventionSettings | None = None) -> int:
    """How many models ``intervene`` will run."""
    settings = settings or InterventionSettings()
    shared = pair.shared_blocks
    mixtures = {canonical(weights, shared) for _, _, weights in swaps(pair, settings)}
    ranks = ranks_of(settings, width_of(inner_model(pair.tuned)))
    return len(mixtures) + 4 * len(ranks) + 2 * len(settings.amounts)


def ranks_of(settings: InterventionSettings, width: int) -> tuple[int, ...]:
    """The ranks to try for a model of a width."""
    return settings.ranks or tuple(dict.fromkeys(max(1, width // part) for part in (32, 8, 4, 2)))


def _outcomes(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[Sequence[int]],
    human: Tensor,
    settings: InterventionSettings,
) -> dict[str, Values]:
    texts = continue_contexts(
        model, tokenizer, contexts, new_tokens=settings.new_tokens, batch_size=settings.batch_size
    )
    seen = sharpness(model, human, skip=settings.skip)
    return {
        "ttr": np.array([type_token_ratio(text) for text in texts]),
        "bigram_repetition": np.array([ngram_repetition(text, 2) for text in texts]),
        "entropy": seen.entropy,
        "loss": seen.loss,
    }
