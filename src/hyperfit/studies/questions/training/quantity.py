"""Carlsson et al. (2025), section 6.3: how many sequences; at equal updates and, as was asked, at equal epochs."""

from dataclasses import replace

from hyperfit.numbers import COUNT, RATIO, TENTHS
from hyperfit.studies.grid.possible import lack_of
from hyperfit.studies.measures.results import BASE, HUMAN, Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Answer, Chart, Findings, Line, Study, Table, Trial
from hyperfit.studies.words import answer

COUNTS = (8, 16, 32, 64, 200, 1000, 2000)
MEASURES = (
    "ttr",
    "word_share",
    "loop_share",
    "longest_overlap",
    "long_overlap_share",
    "perplexity",
    "train_loss",
    "epochs",
)
EPOCHS, UPDATES = "equal epochs", "equal updates"


def counts(settings: StudySettings) -> list[int]:
    """Numbers of sequences: those of the paper up to what is asked for, and that."""
    most = settings.recipe.samples or COUNTS[-1]
    return [count for count in COUNTS if count < most] + [most]


def too_few(settings: StudySettings) -> str | None:
    """Why there is nothing to compare, if so."""
    return None if len(counts(settings)) > 1 else f"--samples {settings.samples}: give more than {COUNTS[0]}"


def trials(settings: StudySettings) -> list[Trial]:
    """The largest number first, then the smallest, to the middle; at equal epochs each, and at equal updates.

    The largest is that of which there are so many; those beyond it stand there once, to be told.
    """
    recipe, most = settings.recipe, largest(settings)
    order = sorted(counts(settings), key=lambda count: (count < most, count))
    found = []
    for count in order:
        one = replace(recipe, samples=count, stop_loss=None, epochs=epochs_of(settings))
        found.append(Trial(f"{count} sequences, {EPOCHS}", one))
        if count < most:
            updates = replace(one, epochs=round(one.epochs * most / count))
            found.append(Trial(f"{count} sequences, {UPDATES}", updates))
    return found


def largest(settings: StudySettings) -> int:
    """The largest number of sequences that the data have; the largest of all, where they have too few of any."""
    there = [count for count in counts(settings) if not lack_of(replace(settings.recipe, samples=count))]
    return there[-1] if there else counts(settings)[-1]


def epochs_of(settings: StudySettings) -> int:
    """Epochs of the largest number: half of the most that its recipe allows, which is beyond its usual end."""
    return max(1, settings.recipe.epochs // 2)


def tell(results: Results) -> Findings:
    """Whether more sequences give more variety, and what becomes of copying."""
    there = results.labels
    rows = [
        results.row(BASE, MEASURES),
        *(results.row(label, MEASURES) for label in there),
        results.row(HUMAN, MEASURES),
    ]
    by_way: dict[str, list[tuple[float, str]]] = {EPOCHS: [], UPDATES: []}
    for label in there:
        by_way[label.split(", ")[1]].append((float(label.split()[0]), label))
    most = max(by_way[EPOCHS], default=None)
    for way in by_way:
        by_way[way] = sorted({*by_way[way], *([most] if most else [])})
    charts = [
        Chart(
            f"quantity-{measure}",
            "training sequences",
            measure,
            [Line(way, [(count, results.estimate(label, measure)) for count, label in by_way[way]]) for way in by_way],
            log=True,
        )
        for measure in ("ttr", "word_share", "longest_overlap", "perplexity")
    ]
    return Findings(
        *told(results, by_way), [Table("quantity", "By number of training sequences", rows, MEASURES)], charts
    )


def told(results: Results, by_way: dict[str, list[tuple[float, str]]]) -> tuple[Answer, str]:
    """Whether the fewest write less varied than the most, at equal updates, and how much more they copy."""
    points = by_way[UPDATES]
    if len(points) < 2:
        return "Not shown", "Fewer than two numbers of sequences were trained."
    (few, fewest), (many, most) = points[0], points[-1]
    off = results.difference(fewest, most, "ttr")
    copied = results.difference(fewest, most, "longest_overlap")
    return answer(results.difference(most, fewest, "ttr")), (
        f"At equal updates, {COUNT(few)} sequences give a type-token ratio {RATIO.within(off, '+')} against "
        f"{COUNT(many)}, and a longest run of training data of {TENTHS.within(copied, '+')} tokens. At "
        "equal epochs: "
        + ", ".join(
            f"{COUNT(count)} {RATIO.told(results.estimate(label, 'ttr').value)}" for count, label in by_way[EPOCHS]
        )
        + " (Carlsson et al., equal updates: the ratio falls with fewer sequences and stays fair down to 16)."
    )


STUDY = Study(
    name="quantity",
    trials=trials,
    tell=tell,
    hinders=lambda settings: too_few(settings),
    method="The same recipe on 8, 16, 32, ... sequences up to those of the settings (the paper has 2,000), once with "
    "as many epochs and once with as many updates as the largest number has; the stop rule is off. "
    "Yes: at equal updates the interval of how much more varied the largest number is than the smallest lies above 0.",
)
