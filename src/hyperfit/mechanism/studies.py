"""Each study on one subject, as plain values: the name it is asked by, what it depends on, how it is run."""

from collections.abc import Callable
from typing import Any

import torch

from hyperfit.console import progress
from hyperfit.mechanism.capture import captured, points_of
from hyperfit.mechanism.continuing import Continuing, continued
from hyperfit.mechanism.encouragement import before_and_after
from hyperfit.mechanism.geometry import geometry
from hyperfit.mechanism.injection import Injection, bias_injection
from hyperfit.mechanism.inquiry import Inquiry, Study
from hyperfit.mechanism.intervention import InterventionSettings, intervene, points_to_run
from hyperfit.mechanism.lens import Lens, lens
from hyperfit.mechanism.matching import entropy_by_temperature, entropy_matching
from hyperfit.mechanism.origins import rank_origin
from hyperfit.mechanism.subject import Subject
from hyperfit.model import inner_model
from hyperfit.result import load_any

Result = dict[str, Any]

TEMPERATURES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
"""At which the base model's entropy is drawn."""
SHOWN = 14
"""Positions of the lens's picture."""


def continuing(inquiry: Inquiry) -> Continuing:
    """How texts are written."""
    return Continuing(context=inquiry.context, seed=inquiry.seed, batch_size=inquiry.batch_size)


def temperature(of: Subject, inquiry: Inquiry) -> Result:
    """Study 1 of Li et al. (2026): the base model at equal entropy."""
    with progress("temperature", 8 * len(of.texts)) as advance:
        found = entropy_matching(of.pair, of.tokenizer, of.texts, continuing(inquiry), advance=advance)
    curve = entropy_by_temperature(of.pair, of.texts, TEMPERATURES, skip=inquiry.context)
    return {**found.to_dict(), "curve": {str(at): entropy for at, entropy in curve.items()}}


def bias(of: Subject, inquiry: Inquiry) -> Result:
    """Study 2: the promoted tokens' mean logit shift, injected."""
    vocabulary = int(inner_model(of.pair.tuned).config.vocab_size)
    settings = Injection(
        alphas=inquiry.alphas,
        counts=inquiry.promoted,
        control_count=max((count for count in inquiry.promoted if count <= vocabulary), default=vocabulary),
        seed=inquiry.seed,
    )
    curves = 2 + sum(count <= vocabulary for count in inquiry.promoted)
    runs = 2 + curves * sum(alpha != 0 for alpha in inquiry.alphas)
    with progress("bias", runs * len(of.texts)) as advance:
        found = bias_injection(of.pair, of.tokenizer, of.texts, continuing(inquiry), settings, advance=advance)
    return found.to_dict()


def ranks(of: Subject, inquiry: Inquiry) -> Result:
    """Study 3: where the tuned model's choices stand in the base model's order."""
    with progress("ranks", len(of.texts)) as advance:
        return rank_origin(of.pair, of.tokenizer, of.texts, continuing(inquiry), advance=advance).to_dict()


def layers(of: Subject, inquiry: Inquiry) -> Result:
    """Study 4: hidden states by layer, over all positions and over those behind the context.

    The first few tokens of a text have states many times longer than others' and can decide every mean, even the sign
    of a change of dimension; so both are told.
    """
    with of.pair.side("tuned") as model:
        points = len(points_of(model))
    told = {}
    for name, skip in (("all", 1), ("behind_context", inquiry.context)):
        with (
            progress(f"geometry ({name.replace('_', ' ')})", len(of.texts) + points) as advance,
            captured(of.pair, of.texts, skip=skip, advance=advance) as states,
        ):
            found = geometry(states, advance=advance)
        told[name] = {"skip": skip, **found.to_dict(), "sentence": found.sentence()}
    return {
        **told,
        "sentence": f"Over all positions: {told['all']['sentence']} Only behind the first {inquiry.context} tokens, "
        f"without the states of the first few, whose length is another: {told['behind_context']['sentence']}",
    }


def lenses(of: Subject, inquiry: Inquiry) -> Result:
    """What each layer would say in the tuned model's own greedy texts."""
    with progress("lens", 2 * len(of.texts)) as advance:
        written = continued(of.pair, "tuned", of.tokenizer, of.texts, continuing(inquiry), advance=advance)
        texts = torch.cat([of.texts[:, : inquiry.context], torch.tensor(written)], dim=1)
        found = lens(of.pair, texts, skip=inquiry.context, advance=advance)
    return {**found.to_dict(), "sentence": found.sentence(), "picture": picture(found, of)}


def picture(found: Lens, of: Subject) -> Result:
    """SHOWN positions of the first text, from shortly before its choices first part: what each layer would say there.

    The arrays are lists [points][positions].
    """
    apart = (found.parts[0] < len(found.points)).nonzero()[0]
    width = found.divergence.shape[2]
    start = max(0, min(int(apart[0]) - 2 if len(apart) else 0, width - SHOWN))
    shown = slice(start, start + SHOWN)

    def texts_of(tokens: Any) -> Any:
        return [[str(of.tokenizer.decode([token])) for token in row] for row in tokens.tolist()]

    first = found.skip + start
    return {
        "before": str(of.tokenizer.decode(found.texts[0, max(0, first - 12) : first].tolist())),
        "written": texts_of(found.texts[:1, first : first + SHOWN])[0],
        "points": list(found.points),
        **{
            side: {
                "tokens": texts_of(readout.tokens[0, :, shown]),
                "probability": readout.probability[0, :, shown].round(4).astype(float).tolist(),
            }
            for side, readout in (("base", found.base), ("tuned", found.tuned))
        },
    }


def interventions(of: Subject, inquiry: Inquiry) -> Result:
    """Whether the change of the last layers causes the diversity."""
    settings = InterventionSettings(
        scales=inquiry.scales,
        ranks=inquiry.removed,
        new_tokens=inquiry.total - inquiry.context,
        skip=inquiry.context,
        batch_size=inquiry.batch_size,
        seed=inquiry.seed,
    )
    contexts = of.texts[: inquiry.intervention_contexts, : inquiry.context].tolist()
    with progress("intervention", points_to_run(of.pair, settings)) as advance:
        found = intervene(of.pair, of.tokenizer, contexts, of.texts, settings, advance=advance)
    return {
        **found.to_dict(),
        "depth": found.depth,
        "contexts": len(contexts),
        "sentence": f"{found.sentence()} ({len(contexts)} contexts.)",
    }


def encouraged(of: Subject, inquiry: Inquiry) -> Result:
    """Whether good tokens come to the top on held-out text."""
    scorer = None
    if inquiry.scorer is not None:
        scorer = load_any(inquiry.scorer, device=of.device, precision=of.precision)
    found = before_and_after(of.pair, of.texts, scorer=scorer, skip=inquiry.context, epoch=of.epochs)
    return found.to_dict()


RUNNERS: dict[Study, Callable[[Subject, Inquiry], Result]] = {
    "temperature": temperature,
    "bias": bias,
    "ranks": ranks,
    "geometry": layers,
    "lens": lenses,
    "intervention": interventions,
    "encouragement": encouraged,
}
EVERYWHERE = ("context", "total", "batch_size", "seed")
DEPENDS: dict[Study, tuple[str, ...]] = {
    "temperature": (),
    "bias": ("alphas", "promoted"),
    "ranks": (),
    "geometry": (),
    "lens": (),
    "intervention": ("intervention_contexts", "scales", "removed"),
    "encouragement": ("scorer",),
}
"""The settings that decide each study's result, beside EVERYWHERE and the subject's identity."""
