"""Nobody has it: how much of what training changed is needed, on a dial from the base model beyond the trained one."""

from collections.abc import Sequence

from hyperfit.numbers import PERCENT, PERPLEXITY
from hyperfit.studies.measures.results import BASE, HUMAN, Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Answer, Chart, Findings, Line, Row, Study, Table, Trial
from hyperfit.studies.tasks.compared import change, score, scored_tasks
from hyperfit.studies.words import answer, any_of, both

STRENGTHS = (1.0, 0.5, 0.75, 0.25, 1.25, 1.5)
MEASURES = ("ttr", "bigram_repetition", "loop_share", "word_share", "longest_overlap", "perplexity", "entropy")
OF_TASKS = ("task_score", "task_change")
KEPT, PRICE = 0.9, 0.5
"""Share of the gain in type-token ratio that has to be left, at a share of the rise of the loss on human text."""


def trials(settings: StudySettings) -> list[Trial]:
    """One training, measured at several strengths."""
    return [Trial(label_of(strength), settings.recipe, strength=strength) for strength in STRENGTHS]


def label_of(strength: float) -> str:
    """As the table calls it."""
    return f"strength {strength:g}"


def tell(results: Results) -> Findings:
    """Whether some strength below 1 keeps most of the variety at half of the price in likelihood."""
    there = sorted(results.labels, key=at)
    rows = [results.row(label, MEASURES) for label in (BASE, *there, HUMAN)]
    charts = [
        Chart(
            f"strength-{measure}",
            "strength",
            measure,
            [
                Line(
                    "greedy text",
                    [
                        (0.0, results.estimate(BASE, measure)),
                        *((at(one), results.estimate(one, measure)) for one in there),
                    ],
                )
            ],
        )
        for measure in ("ttr", "word_share", "perplexity", "longest_overlap")
    ]
    tables = [Table("strength", "By strength", rows, MEASURES)]
    tasks = scored_tasks(results)
    if tasks:
        tables.append(Table("strength-tasks", "Scores on tasks", on_tasks(results, there, tasks), OF_TASKS, "examples"))
        charts.append(Chart("strength-tasks", "strength", "task_score", [dial(results, there, one) for one in tasks]))
    whole = label_of(1.0)
    if whole not in there:
        return Findings("Not shown", "No training came to its end.", tables, charts)
    gain = {one: results.difference(one, BASE, "ttr").value for one in there}
    if not gain[whole] > 0:
        return Findings("Not shown", "There is no gain in type-token ratio to keep.", tables, charts)
    below = [one for one in there if at(one) < 1]
    scores = "".join(f" {told_task(results, there, one)}" for one in tasks)
    return Findings(
        any_of(worth(results, one, comparisons=len(below)) for one in below),
        told(results, gain, whole) + scores,
        tables,
        charts,
    )


def told(results: Results, gain: dict[str, float], whole: str) -> str:
    """What the strength below 1 that keeps most leaves of gain and price; then all of them."""
    loss = {one: results.difference(one, BASE, "perplexity").value for one in gain}
    below = max((one for one in gain if at(one) < 1), key=lambda one: gain[one], default=whole)
    every = "; ".join(
        f"{at(one):g}: {PERCENT.told(gain[one] / gain[whole])}, "
        f"{PERPLEXITY.told(results.estimate(one, 'perplexity').value)}"
        for one in gain
    )
    return (
        f"Strength {at(below):g} keeps {PERCENT.told(gain[below] / gain[whole])} of the gain in type-token ratio, at "
        f"{PERCENT.told(loss[below] / loss[whole])} of the rise of the loss on human text. Of the gain, and perplexity "
        f"on human text: {every}; of the base {PERPLEXITY.told(results.estimate(BASE, 'perplexity').value)}."
    )


def on_tasks(results: Results, there: Sequence[str], tasks: Sequence[str]) -> list[Row]:
    """Every strength on every task."""
    return [
        Row(
            f"{task}, {label}",
            {
                "task_score": score(results, label, task),
                **({} if label == BASE else {"task_change": change(results, label, task, comparisons=len(there))}),
            },
        )
        for task in tasks
        for label in (BASE, *there)
    ]


def dial(results: Results, there: Sequence[str], task: str) -> Line:
    """Scores on a task from the base model on."""
    return Line(
        task, [(0.0, score(results, BASE, task)), *((at(label), score(results, label, task)) for label in there)]
    )


def told_task(results: Results, there: Sequence[str], task: str) -> str:
    """Scores on a task along the dial."""
    every = "; ".join(f"{at(label):g}: {PERCENT.told(score(results, label, task).value)}" for label in there)
    return f"On {task} the base scores {PERCENT.told(score(results, BASE, task).value)}; {every}."


def worth(results: Results, label: str, comparisons: int) -> Answer:
    """Whether a strength keeps most of the gain, and has at most its share of the price, by intervals."""
    whole = label_of(1.0)
    kept = results.blend({label: 1.0, whole: -KEPT, BASE: KEPT - 1}, "ttr", comparisons)
    saved = results.blend({whole: PRICE, BASE: 1 - PRICE, label: -1.0}, "perplexity", comparisons)
    return both(answer(kept), answer(saved))


def at(label: str) -> float:
    """The strength of a label."""
    return float(label.split()[1])


STUDY = Study(
    name="strength",
    trials=trials,
    tell=tell,
    tasks=True,
    method="What training changed is multiplied by a number from 0, the base model, to 1.5. Kept: nine tenths of the "
    "gain in type-token ratio; price: the rise of the loss on human text. Yes or No where intervals say so, which hold "
    "for all strengths below 1 at once. Where lm-eval is installed, every strength is scored on the tasks, too; "
    "changes there hold for all strengths at once.",
)
