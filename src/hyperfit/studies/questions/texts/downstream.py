"""Carlsson et al. (2025), appendix B: what hyperfitting costs on tasks such as MMLU and GLUE."""

from collections.abc import Sequence

from hyperfit.evaluation.tasks.harness import missing
from hyperfit.evaluation.tasks.scores import guessed
from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import PERCENT, POINTS, THOUSANDTHS
from hyperfit.studies.measures.results import BASE, Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Answer, Findings, Headline, Row, Study, Table, Trial
from hyperfit.studies.tasks.compared import change, score, scored_tasks
from hyperfit.studies.words import answer

LABEL = "hyperfitted"
MARGIN = 0.02
"""A task counts as kept where the whole interval of the change says that less than this is lost."""
SCORES = ("task_base", "task_hyperfitted", "task_change", "task_chance")
LOSSES = ("loss_base", "loss_hyperfitted", "loss_change")
PAPER = "Carlsson et al.: GLUE and MMLU fall slightly, also of instruction-tuned models"


def trials(settings: StudySettings) -> list[Trial]:
    """The recipe."""
    return [Trial(LABEL, settings.recipe)]


def tell(results: Results) -> Findings:
    """Whether the scores stay within the margin, task by task; losses are told beside and do not count."""
    if not results.labels:
        return Findings("Not shown", "No training came to its end.")
    tasks = results.base.tasks
    scored = scored_tasks(results)
    above = [task for task in scored if score(results, BASE, task).low > guessed(tasks[task].values())]
    changes = {task: change(results, LABEL, task, comparisons=len(above)) for task in above}
    verdicts = {task: answer(off, -MARGIN) for task, off in changes.items()}
    kept, lost = ([task for task in above if verdicts[task] == said] for said in ("Yes", "No"))
    told = [
        f"{task}: {PERCENT(score(results, BASE, task).value)} % to "
        f"{PERCENT(score(results, LABEL, task).value)} %, {POINTS.within(off, '+')}"
        for task, off in changes.items()
    ]
    left = [task for task in scored if task not in above]
    if left:
        told.append(
            f"on {', '.join(left)} the base model does no better than guessing, so that there is nothing to keep"
        )
    for task in (one for one in tasks if one not in scored):
        off = change(results, LABEL, task)
        told.append(f"{task}: the loss changes by {THOUSANDTHS.within(off, '+')}")
    said: Answer = (
        "Not shown" if not above else "Yes" if len(kept) == len(above) else "No" if lost and not kept else "Partly"
    )
    count = (
        f"Kept: {len(kept)} of {len(above)}, lost: {len(lost)}, open: {len(above) - len(kept) - len(lost)}. "
        if above
        else ""
    )
    headline = Headline("downstream", "task_change", tuple(scored))
    return Findings(said, f"{capital('; '.join(told))}. {count}({PAPER}.)", tables(results, scored), headline=headline)


def tables(results: Results, scored: Sequence[str]) -> list[Table]:
    """Scores by task, the parts of each that has several, and losses."""
    tasks = results.base.tasks
    found = []
    if scored:
        found.append(Table("downstream", "Scores on tasks", [row(results, one) for one in scored], SCORES, "examples"))
    for task in scored:
        if len(tasks[task]) > 1:
            parts = [row(results, task, part) for part in tasks[task]]
            found.append(Table(f"downstream-{task}", f"Parts of {task}", parts, SCORES, "examples"))
    lossy = [row(results, task, part) for task in tasks if task not in scored for part in tasks[task]]
    if lossy:
        found.append(Table("downstream-losses", "Losses on tasks; less is better", lossy, LOSSES, "examples"))
    return found


def row(results: Results, task: str, part: str | None = None) -> Row:
    """A task, or a part of one, of both models."""
    known = [one for name, one in results.base.tasks[task].items() if part in (None, name)]
    base, tuned, off, guess = LOSSES + SCORES[3:] if known[0].loss else SCORES
    cells = {
        base: score(results, BASE, task, part),
        tuned: score(results, LABEL, task, part),
        off: change(results, LABEL, task, part),
    }
    if not known[0].loss:
        count = sum(len(one.values) for one in known)
        cells[guess] = Estimate(guessed(known), float("nan"), float("nan"), count)
    measures = ", ".join(sorted({one.measure for one in known}))
    return Row(f"{part or task}, {measures}", cells)


def capital(words: str) -> str:
    """With a capital first letter, unless it is a name that has none."""
    return words if ":" in words.split(" ")[0] else words[:1].upper() + words[1:]


STUDY = Study(
    name="downstream",
    trials=trials,
    tell=tell,
    decodings=lambda settings: (),
    tasks=True,
    hinders=lambda settings: missing(),
    method="Both models do the same examples of each task in the Language Model Evaluation Harness (lm-eval), with as "
    "many examples shown before as the task says, and without a chat template; differences are paired over examples, "
    "intervals are over examples and seeds. Kept: the whole interval of the change, widened for the number of tasks, "
    f"lies above −{100 * MARGIN:g} points; lost: all of it lies below. Only tasks count on which the base model does "
    "better than guessing.",
)
