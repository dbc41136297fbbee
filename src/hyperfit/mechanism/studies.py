"""Each study on one subject, as plain values: the name it is asked by, what it depends on, how it is run."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial, wraps
from typing import Any

import torch

from hyperfit.console import progress, say
from hyperfit.mechanism.arms import Design
from hyperfit.mechanism.capture import captured, points_of
from hyperfit.mechanism.continuing import Continuing, continued
from hyperfit.mechanism.encouragement import by_epoch
from hyperfit.mechanism.geometry import geometry
from hyperfit.mechanism.injection import Injection, bias_injection
from hyperfit.mechanism.inquiry import Inquiry, Study
from hyperfit.mechanism.intervention import InterventionSettings, intervene, points_to_run
from hyperfit.mechanism.lens import Lens, lens
from hyperfit.mechanism.matching import entropy_by_temperature, entropy_matching
from hyperfit.mechanism.origins import rank_origin
from hyperfit.mechanism.placement import placement
from hyperfit.mechanism.predictions import Source
from hyperfit.mechanism.subject import Subject
from hyperfit.mechanism.trials import train_arms
from hyperfit.model import inner_model, load_config
from hyperfit.recipe import DEFAULT_LR

Result = dict[str, Any]
Runner = Callable[[Subject, Inquiry], Result]

TEMPERATURES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
"""At which the base model's entropy is drawn."""
SHOWN = 14
"""Positions of the lens's picture."""


def under_autocast(study: Runner) -> Runner:
    """The study in its subject's precision.

    None that trains: autocast keeps its casts of the weights until the outermost block ends, and what is trained
    inside would go on with those of the first step.
    """

    @wraps(study)
    def run(of: Subject, inquiry: Inquiry) -> Result:
        with of.autocast():
            return study(of, inquiry)

    return run


def continuing(inquiry: Inquiry) -> Continuing:
    """How texts are written."""
    return Continuing(context=inquiry.context, seed=inquiry.seed, batch_size=inquiry.batch_size)


@under_autocast
def temperature(of: Subject, inquiry: Inquiry) -> Result:
    """Study 1 of Li et al. (2026): the base model at equal entropy."""
    with progress("temperature", 8 * len(of.texts)) as advance:
        found = entropy_matching(of.pair, of.tokenizer, of.texts, continuing(inquiry), advance=advance)
    curve = entropy_by_temperature(of.pair, of.texts, TEMPERATURES, skip=inquiry.context)
    return {**found.to_dict(), "curve": {str(at): entropy for at, entropy in curve.items()}}


@under_autocast
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


@under_autocast
def ranks(of: Subject, inquiry: Inquiry) -> Result:
    """Study 3: where the tuned model's choices stand in the base model's order."""
    with progress("ranks", len(of.texts)) as advance:
        return rank_origin(of.pair, of.tokenizer, of.texts, continuing(inquiry), advance=advance).to_dict()


@under_autocast
def layers(of: Subject, inquiry: Inquiry) -> Result:
    """Study 4: hidden states by layer, over all positions and over those behind the context.

    The first few tokens of a text have states many times longer than others' and can decide every mean, even the sign
    of a change of dimension; so both are told.
    """
    with of.pair.side("tuned") as model:
        points = len(points_of(model))
    told = {}
    with (
        progress("geometry", len(of.texts) + 2 * points) as advance,
        captured(of.pair, of.texts, advance=advance) as states,
    ):
        for name, skip in (("all", 1), ("behind_context", inquiry.context)):
            found = geometry(states.behind(skip - 1), advance=advance)
            told[name] = {"skip": skip, **found.to_dict(), "sentence": found.sentence()}
    return {
        **told,
        "sentence": f"Over all positions: {told['all']['sentence']} Only behind the first {inquiry.context} tokens, "
        f"without the states of the first few, whose length is another: {told['behind_context']['sentence']}",
    }


@under_autocast
def lenses(of: Subject, inquiry: Inquiry) -> Result:
    """What each layer would say in the tuned model's own greedy texts."""
    with progress("lens", 2 * len(of.texts)) as advance:
        written = continued(of.pair, "tuned", of.tokenizer, of.texts, continuing(inquiry), advance=advance)
        texts = torch.cat([of.texts[:, : inquiry.context], torch.tensor(written)], dim=1)
        found = lens(of.pair, texts, skip=inquiry.context, advance=advance)
    pictures = [picture(found, of, text) for text in range(min(inquiry.pictures, len(texts)))]
    return {**found.to_dict(), "sentence": found.sentence(), "pictures": pictures}


def picture(found: Lens, of: Subject, text: int) -> Result:
    """SHOWN positions of one text, from shortly before its choices first part: what each layer would say there.

    The arrays are lists [points][positions].
    """
    apart = (found.parts[text] < len(found.points)).nonzero()[0]
    width = found.divergence.shape[2]
    start = max(0, min(int(apart[0]) - 2 if len(apart) else 0, width - SHOWN))
    shown = slice(start, start + SHOWN)

    def texts_of(tokens: Any) -> Any:
        return [[str(of.tokenizer.decode([token])) for token in row] for row in tokens.tolist()]

    first = found.skip + start
    return {
        "before": str(of.tokenizer.decode(found.texts[text, max(0, first - 12) : first].tolist())),
        "written": texts_of(found.texts[text : text + 1, first : first + SHOWN])[0],
        "points": list(found.points),
        **{
            side: {
                "tokens": texts_of(readout.tokens[text, :, shown]),
                "probability": readout.probability[text, :, shown].round(4).astype(float).tolist(),
            }
            for side, readout in (("base", found.base), ("tuned", found.tuned))
        },
    }


@under_autocast
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


@under_autocast
def encouraged(of: Subject, inquiry: Inquiry) -> Result:
    """Whether good tokens come to the top on held-out text: before, after, and at the epochs that a run has kept."""
    scorer = None if inquiry.scorer is None else of.load(inquiry.scorer)
    kept, last = (of.models.trained.kept if of.models.trained else {}), of.models.epochs[-1]
    by_age: dict[int, Source] = {0: partial(of.pair.side, "base")}
    by_age |= {epoch: partial(of.loaded, str(earlier.path)) for epoch, earlier in kept.items()}
    by_age[last] = partial(of.pair.side, "tuned")
    with progress("encouragement", len(by_age) * len(of.texts)) as advance:
        return by_epoch(by_age, of.texts, scorer=scorer, skip=inquiry.context, advance=advance).to_dict()


def placements(of: Subject, inquiry: Inquiry) -> Result:
    """Study 5 of Li et al. (2026): the run's recipe with adapters elsewhere, or without any."""
    of.let_go()
    design = design_of(of, inquiry)
    try:
        trained = train_arms(design, of.models.output / "placement", tell=say)
    except KeyboardInterrupt:
        say("interrupted; repeat the command to go on")
        raise
    with of.autocast(), progress("placement", 1 + len(trained)) as advance:
        settings = continuing(inquiry)
        found = placement(trained, of.load, of.tokenizer, of.texts, settings, depth=design.depth, advance=advance)
    return found.to_dict()


def design_of(of: Subject, inquiry: Inquiry) -> Design:
    """What is trained for the study: around the run's recipe, on this device, in one process."""
    assert of.models.run is not None
    recipe, processes = of.models.run.recipe, of.models.run.environment["processes"]
    config = load_config(of.models.base)
    if recipe.method != "full" and inquiry.full_lr is None:
        say(f"all parameters are trained at {DEFAULT_LR['full']:g}, too small for a small model; --full-lr sets it")
    return Design(
        recipe=replace(recipe, device=str(of.device), accumulate=recipe.accumulate * processes),
        depth=config.num_hidden_layers,
        width=config.hidden_size,
        depths=inquiry.depths,
        adapter_lr=inquiry.adapter_lr,
        full_lr=inquiry.full_lr,
    )


RUNNERS: dict[Study, Runner] = {
    "temperature": temperature,
    "bias": bias,
    "ranks": ranks,
    "geometry": layers,
    "lens": lenses,
    "intervention": interventions,
    "encouragement": encouraged,
    "placement": placements,
}
EVERYWHERE = ("context", "total", "batch_size", "seed")
DEPENDS: dict[Study, tuple[str, ...]] = {
    "temperature": (),
    "bias": ("alphas", "promoted"),
    "ranks": (),
    "geometry": (),
    "lens": ("pictures",),
    "intervention": ("intervention_contexts", "scales", "removed"),
    "encouragement": ("scorer", "epochs"),
    "placement": ("depths", "adapter_lr", "full_lr"),
}
"""What decides each study's result beside EVERYWHERE and the subject's identity: settings, and the models' epochs."""
