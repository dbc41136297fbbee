"""Each study on one pair of models, as plain values: the name it is asked by, what it depends on, how it is run."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import torch

from hyperfit.console import progress
from hyperfit.data.characters import whole_characters
from hyperfit.mechanism.bias.injection import Injection, bias_injection
from hyperfit.mechanism.intervention.intervene import intervene, points_to_run
from hyperfit.mechanism.intervention.settings import InterventionSettings
from hyperfit.mechanism.layers.capture import captured, points_of
from hyperfit.mechanism.layers.geometry import geometry
from hyperfit.mechanism.layers.lens import Lens, lens
from hyperfit.mechanism.pair.continuations import Continuing, continued
from hyperfit.mechanism.pair.inputs import StudyInputs
from hyperfit.mechanism.pair.predictions import Source
from hyperfit.mechanism.ranks.encouragement import by_epoch
from hyperfit.mechanism.ranks.origin import rank_origin
from hyperfit.mechanism.settings import MechanismSettings, Study
from hyperfit.mechanism.temperature.entropy_matching import entropy_by_temperature, entropy_matching
from hyperfit.models.structure.layout import inner_model, layout_of

Result = dict[str, Any]
Runner = Callable[[StudyInputs, MechanismSettings], Result]

TEMPERATURES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
"""At which the base model's entropy is drawn."""
SHOWN = 14
"""Positions of the lens's picture."""


def under_autocast(study: Runner) -> Runner:
    """The study in the precision of its models.

    None that trains: autocast keeps its casts of the weights until the outermost block ends, and what is trained
    inside would go on with those of the first step.
    """

    @wraps(study)
    def run(of: StudyInputs, settings: MechanismSettings) -> Result:
        with of.autocast():
            return study(of, settings)

    return run


def continuing(settings: MechanismSettings) -> Continuing:
    """How texts are written."""
    return Continuing(context=settings.context, seed=settings.seed, batch_size=settings.batch_size)


@under_autocast
def temperature(of: StudyInputs, settings: MechanismSettings) -> Result:
    """Study 1 of Li et al. (2026): the base model at equal entropy."""
    with progress("temperature, texts", 8 * len(of.texts)) as advance:
        found = entropy_matching(
            of.pair, of.tokenizer, of.texts, continuing(settings), lexicon=of.lexicon, advance=advance
        )
    with progress("temperature, entropies of texts", len(of.texts)) as advance:
        curve = entropy_by_temperature(of.pair, of.texts, TEMPERATURES, skip=settings.context, advance=advance)
    return {**found.to_dict(), "curve": {str(at): entropy for at, entropy in curve.items()}}


@under_autocast
def bias(of: StudyInputs, settings: MechanismSettings) -> Result:
    """Study 2: the promoted tokens' mean logit shift, injected."""
    vocabulary = layout_of(inner_model(of.pair.tuned)).vocabulary
    injection = Injection(
        alphas=settings.alphas,
        counts=settings.promoted,
        control_count=max((count for count in settings.promoted if count <= vocabulary), default=vocabulary),
        seed=settings.seed,
    )
    curves = 2 + sum(count <= vocabulary for count in settings.promoted)
    runs = 2 + curves * sum(alpha != 0 for alpha in settings.alphas)
    with progress("bias, texts", runs * len(of.texts)) as advance:
        found = bias_injection(
            of.pair, of.tokenizer, of.texts, continuing(settings), injection, lexicon=of.lexicon, advance=advance
        )
    return found.to_dict()


@under_autocast
def ranks(of: StudyInputs, settings: MechanismSettings) -> Result:
    """Study 3: where the tuned model's choices stand in the base model's order."""
    with progress("ranks, texts", len(of.texts)) as advance:
        found = rank_origin(
            of.pair, of.tokenizer, of.texts, continuing(settings), words=of.palette is None, advance=advance
        )
    return found.to_dict()


@under_autocast
def layers(of: StudyInputs, settings: MechanismSettings) -> Result:
    """Study 4: hidden states by layer, over all positions and over those behind the context.

    The first few tokens of a text have states many times longer than others' and can decide every mean, even the sign
    of a change of dimension; so both are told.
    """
    with of.pair.side("tuned") as model:
        points = len(points_of(model))
    told = {}
    with (
        progress("geometry, texts and layers", len(of.texts) + 2 * points) as advance,
        captured(of.pair, of.texts, advance=advance) as states,
    ):
        for name, skip in (("all", 1), ("behind_context", settings.context)):
            found = geometry(states.behind(skip - 1), advance=advance)
            told[name] = {"skip": skip, **found.to_dict(), "sentence": found.sentence()}
    return {
        **told,
        "sentence": f"Over all positions: {told['all']['sentence']} Only behind the first {settings.context} tokens, "
        f"without the states of the first few, whose length is another: {told['behind_context']['sentence']}",
    }


@under_autocast
def lenses(of: StudyInputs, settings: MechanismSettings) -> Result:
    """What each layer would say in the tuned model's own greedy texts."""
    with progress("lens, texts", 2 * len(of.texts)) as advance:
        written = continued(of.pair, "tuned", of.tokenizer, of.texts, continuing(settings), advance=advance)
        texts = torch.cat([of.texts[:, : settings.context], torch.tensor(written)], dim=1)
        found = lens(of.pair, texts, skip=settings.context, advance=advance)
    pictures = [picture(found, of, text) for text in range(min(settings.pictures, len(texts)))]
    return {**found.to_dict(), "sentence": found.sentence(), "pictures": pictures}


def picture(found: Lens, of: StudyInputs, text: int) -> Result:
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
        "before": whole_characters(str(of.tokenizer.decode(found.texts[text, max(0, first - 12) : first].tolist()))),
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
def interventions(of: StudyInputs, settings: MechanismSettings) -> Result:
    """Whether the change of the last layers causes the diversity."""
    tried = InterventionSettings(
        scales=settings.scales,
        ranks=settings.removed,
        new_tokens=settings.total - settings.context,
        skip=settings.context,
        batch_size=settings.batch_size,
        seed=settings.seed,
    )
    contexts = of.texts[: settings.intervention_contexts, : settings.context].tolist()
    with progress("intervention, altered models", points_to_run(of.pair, tried), each=len(contexts)) as advance:
        found = intervene(of.pair, of.tokenizer, contexts, of.texts, tried, advance=advance)
    return {
        **found.to_dict(),
        "depth": found.depth,
        "contexts": len(contexts),
        "sentence": f"{found.sentence()} ({len(contexts)} contexts.)",
    }


@under_autocast
def encouraged(of: StudyInputs, settings: MechanismSettings) -> Result:
    """Whether good tokens come to the top on held-out text: before, after, and at the epochs that a run has kept."""
    scorer = None if settings.scorer is None else of.load(settings.scorer)
    kept, last = (of.models.trained.kept if of.models.trained else {}), of.models.epochs[-1]
    by_age: dict[int, Source] = {0: partial(of.pair.side, "base")}
    by_age |= {epoch: partial(of.loaded, str(earlier.path)) for epoch, earlier in kept.items()}
    by_age[last] = partial(of.pair.side, "tuned")
    with progress("encouragement, texts", len(by_age) * len(of.texts)) as advance:
        return by_epoch(by_age, of.texts, scorer=scorer, skip=settings.context, advance=advance).to_dict()


RUNNERS: dict[Study, Runner] = {
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
    "lens": ("pictures",),
    "intervention": ("intervention_contexts", "scales", "removed"),
    "encouragement": ("scorer", "epochs"),
    "placement": ("depths", "adapter_lr", "full_lr"),
}
"""What decides each result beside EVERYWHERE and the identity of models and texts: settings, and the models' epochs."""
