"""Models of a study on tasks: their scores, and how these differ from the base model's, example by example."""

from hyperfit.evaluation.tasks.scores import hits
from hyperfit.metrics.estimate import Estimate, paired_share_difference
from hyperfit.studies.measures.pooled import corrected, difference, pooled, pooled_share
from hyperfit.studies.measures.results import BASE, Results


def scored_tasks(results: Results) -> list[str]:
    """Tasks that give scores, of which more is better; the others give losses."""
    return [task for task, parts in results.base.tasks.items() if not any(one.loss for one in parts.values())]


def score(results: Results, label: str, task: str, part: str | None = None) -> Estimate:
    """Mean over seeds and examples of a task, or of one of its parts; of hits of one seed with Wilson's interval."""
    values = results.scores(label, task, part)
    return pooled_share(values) if hits(values) else pooled(values)


def change(results: Results, label: str, task: str, part: str | None = None, comparisons: int = 1) -> Estimate:
    """A trained model less the base model, each seed on the same examples as the base.

    Over seeds and examples; of hits of one seed, or of seeds that are all alike, Agresti and Min's interval, which does
    not claim that nothing changes where no example of a few did. The interval holds for so many ``comparisons`` at once
    (Bonferroni). Raises ValueError if the examples differ.
    """
    for model in results.models[label]:
        for name, one in model.tasks[task].items():
            if one.examples != results.base.tasks[task][name].examples:
                raise ValueError(f"{name}: the models were measured on different examples")
    tuned = results.scores(label, task, part)
    base = results.scores(BASE, task, part)
    if hits(base) and hits(tuned) and (tuned == tuned[0]).all():
        return paired_share_difference(tuned[0].tolist(), base[0].tolist(), corrected(comparisons))
    return difference(tuned, base, comparisons)
