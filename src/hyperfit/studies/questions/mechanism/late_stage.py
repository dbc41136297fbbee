"""Li et al. (2026), table 2, and more: adapters and all parameters by depth, with time; where blocks must learn."""

from dataclasses import replace

from hyperfit.models.loading import load_config
from hyperfit.numbers import COUNT, RATIO
from hyperfit.studies.measures.results import BASE, HUMAN, UNKNOWN, Results
from hyperfit.studies.placement.design import Design, PlacementTrial
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Study, Table, Trial, changed
from hyperfit.studies.words import answer

MEASURES = (
    "ttr", "bigram_repetition", "word_share", "longest_overlap", "perplexity", "top1_agreement_with_base", "entropy",
    "epochs", "seconds", "peak_memory", "parameters",
)  # fmt: skip
LATE, ALL = "adapters, last {}", "adapters, all"
CLOSE = 0.05
"""How much lower a type-token ratio may be to count as as varied."""
DEPTHS = 4
"""Numbers of late blocks that are tried, besides the five of the paper and all."""


def trials(settings: StudySettings) -> list[Trial]:
    """Adapters and all parameters in the last blocks, of rising number; adapters in the first and middle ones."""
    config = load_config(settings.model).get_text_config(decoder=True)
    depth = config.num_hidden_layers
    depths = sorted({min(5, depth), *(max(1, round(depth * part / DEPTHS)) for part in range(1, DEPTHS))})
    recipe = replace(settings.recipe, method="late-lora", late_blocks=round(2 * depth / 3), lr=None)
    design = Design(recipe=recipe, depth=depth, width=config.hidden_size, depths=depths)
    return [
        Trial(name_of(one, depth), replace(one.recipe, validation_samples=settings.recipe.validation_samples))
        for place in design.trials()
        for one in place
        if one.equal == "rank"
    ]


def name_of(trial: PlacementTrial, depth: int) -> str:
    """A training as the table calls it."""
    count = len(trial.blocks)
    if trial.place == "full":
        return "all parameters"
    if trial.place == "late-full":
        return f"all parameters of the last {count}"
    where = "all" if count == depth else f"{trial.place} {count}"
    return f"adapters, {where}"


def tell(results: Results) -> Findings:
    """Whether late adapters write as varied as adapters in all blocks."""
    off_all = {
        label: results.difference(label, ALL, "ttr", comparisons=len(results.labels) - 1)
        for label in results.labels
        if label != ALL and ALL in results.labels
    }
    rows = [
        changed(results.row(label, MEASURES), off_all.get(label, UNKNOWN)) for label in (BASE, *results.labels, HUMAN)
    ]
    table = Table("late-stage", "What learns", rows, (MEASURES[0], "ttr_change", *MEASURES[1:]))
    late = next((label for label in results.labels if label.startswith("adapters, last")), None)
    if late is None or ALL not in results.labels:
        return Findings("Not shown", "Late adapters and adapters in all blocks have not both been trained.", [table])
    off = results.difference(late, ALL, "ttr")
    few = LATE.format(5)
    five = f"; the last 5 {RATIO.told(results.difference(few, ALL, 'ttr').value, '+')}" if few in results.labels else ""
    seconds = [results.estimate_of(label, "seconds") for label in (late, ALL)]
    return Findings(
        answer(off, least=-CLOSE),
        f"{late}: type-token ratio {RATIO.within(off, '+')} against adapters in all blocks, in "
        f"{COUNT(seconds[0])} s for {COUNT(seconds[1])} s{five} "
        "(Li et al.: the last 5 −.039 for TinyLlama, +.016 for Qwen2.5).",
        [table],
    )


STUDY = Study(
    name="late-stage",
    trials=trials,
    tell=tell,
    method="One recipe with adapters in the last blocks, in the first and middle ones, and in all; and with all "
    "parameters of the last blocks, or of the model. Changes in the table are against adapters in all blocks. As "
    "varied: the interval of the difference lies above −.05.",
)
