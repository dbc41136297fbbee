"""The study where to adapt, as ``explain`` runs it."""

from dataclasses import replace
from functools import partial

from hyperfit.console import progress, say
from hyperfit.mechanism.pair.inputs import StudyInputs
from hyperfit.mechanism.runners import Result, continuing
from hyperfit.mechanism.settings import MechanismSettings
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.models.loading import load_config
from hyperfit.runs.json_values import json_values
from hyperfit.studies.grid.training import find_done, machine
from hyperfit.studies.placement.design import Design
from hyperfit.studies.placement.measure import placement
from hyperfit.studies.placement.sentence import sentence
from hyperfit.studies.placement.train import train_trials


def placements(of: StudyInputs, settings: MechanismSettings) -> Result:
    """Study 5 of Li et al. (2026): the run's recipe with adapters elsewhere, or with blocks that learn whole.

    The run itself is one of the trainings where it was made as they are, and each epoch that it kept another.
    """
    of.let_go()
    design, run = design_of(of, settings), of.models.run
    assert run is not None
    runs = [run, *run.kept.values()]
    here = machine(design.recipe, of.device)
    try:
        trained = train_trials(
            design, of.models.output / "placement", elsewhere=partial(find_done, runs=runs, here=here), notify=say
        )
    except KeyboardInterrupt:
        say("interrupted; repeat the command to go on")
        raise
    with of.autocast(), progress("placement, models measured", 1 + len(trained), each=len(of.texts)) as advance:
        how = continuing(settings)
        found = placement(
            trained,
            of.load,
            of.tokenizer,
            of.texts,
            how,
            depth=design.depth,
            lexicon=of.lexicon,
            index=TrainingIndex(of.training or []),
            advance=advance,
        )
    return {**json_values(found), "sentence": sentence(found)}


def design_of(of: StudyInputs, settings: MechanismSettings) -> Design:
    """What is trained for the study: around the run's recipe, on this device, in one process."""
    assert of.models.run is not None
    recipe, processes = of.models.run.recipe, of.models.run.environment["processes"]
    config = load_config(of.models.base).get_text_config(decoder=True)
    return Design(
        recipe=replace(recipe, device=str(of.device), accumulate=recipe.accumulate * processes),
        depth=config.num_hidden_layers,
        width=config.hidden_size,
        depths=settings.depths,
        adapter_lr=settings.adapter_lr,
        full_lr=settings.full_lr,
    )
