"""Carlsson et al. (2025), table 4, and Li et al. (2026): trained on one kind of text, evaluated on all."""

from dataclasses import replace

from hyperfit.numbers import RATIO
from hyperfit.studies.measures.results import BASE, HUMAN, Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Study, Table, Trial
from hyperfit.studies.words import answer, each

MEASURES = ("ttr", "bigram_repetition", "loop_share", "word_share", "coherence", "longest_overlap", "perplexity")
WHOLE = (*MEASURES, "mauve")


def trials(settings: StudySettings) -> list[Trial]:
    """One training a kind of text; all with as many sequences, which are cut from joined documents to have enough."""
    recipe = replace(settings.recipe, chunking="packed")
    return [Trial(f"trained on {source}", replace(recipe, data=source)) for source in domains(settings)]


def domains(settings: StudySettings) -> list[str]:
    """The data and the sources of contexts."""
    return list(dict.fromkeys((settings.data, *settings.contexts)))


def tell(results: Results) -> Findings:
    """Whether texts after contexts of another kind are as varied as after those of the kind that was trained on."""
    labels = (BASE, *results.labels, HUMAN)
    tables = [
        Table("domain", "All contexts", [results.row(label, WHOLE) for label in labels], WHOLE),
        *(
            Table(
                f"domain-{source.split(':')[-1].split('/')[-1]}",
                f"Contexts of {source}",
                [results.row(label, MEASURES, source=source) for label in labels],
                MEASURES,
            )
            for source in dict.fromkeys(results.sources)
        ),
    ]
    pairs = [
        (label, source)
        for label in results.labels
        for source in dict.fromkeys(results.sources)
        if label != f"trained on {source}"
    ]
    compared = [
        (label, source, results.difference(label, BASE, "ttr", comparisons=len(pairs), source=source))
        for label, source in pairs
    ]
    if not compared:
        return Findings("Not shown", "No training came to its end.", tables)
    compared = [one for one in compared if answer(one[2]) != "Not shown"]
    if not compared:
        return Findings("Not shown", "No type-token ratio is defined: texts are too short.", tables)
    said = [answer(one[2]) for one in compared]
    least = min(compared, key=lambda one: one[2].value)
    return Findings(
        each(said),
        f"After contexts of a kind that was not trained on, the type-token ratio rises in {said.count('Yes')} of "
        f"{len(compared)} pairs of data and contexts (least: {least[0]}, contexts of {least[1]}, "
        f"{RATIO.within(least[2], '+')}; Carlsson et al. give preference for theirs, Li et al. .67 to .69 in "
        "all domains).",
        tables,
    )


STUDY = Study(
    name="domain",
    trials=trials,
    tell=tell,
    scored=True,
    method="The same recipe on each kind of text, joined and cut into sequences, evaluated on held-out "
    "contexts of all. Where a scorer is named, coherence by kind, and MAUVE over all contexts together.",
)
