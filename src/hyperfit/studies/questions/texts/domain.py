"""Carlsson et al. (2025), table 4, and Li et al. (2026): trained on one kind of text, evaluated on all."""

from dataclasses import replace

from hyperfit.numbers import RATIO
from hyperfit.studies.measures.results import BASE, HUMAN, UNKNOWN, Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Study, Table, Trial, changed
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
    pairs = [
        (label, source)
        for label in results.labels
        for source in dict.fromkeys(results.sources)
        if label != f"trained on {source}"
    ]
    compared = {
        (label, source): results.difference(label, BASE, "ttr", comparisons=len(pairs), source=source)
        for label, source in pairs
    }
    tables = [
        Table("domain", "All contexts", [results.row(label, WHOLE) for label in labels], WHOLE),
        *(
            Table(
                f"domain-{source.split(':')[-1].split('/')[-1]}",
                f"Contexts of {source}",
                [
                    changed(results.row(label, MEASURES, source=source), compared.get((label, source), UNKNOWN))
                    for label in labels
                ],
                (MEASURES[0], "ttr_change", *MEASURES[1:]),
            )
            for source in dict.fromkeys(results.sources)
        ),
    ]
    if not compared:
        return Findings("Not shown", "No training came to its end.", tables)
    known = {pair: off for pair, off in compared.items() if answer(off) != "Not shown"}
    if not known:
        return Findings("Not shown", "No type-token ratio is defined: texts are too short.", tables)
    said = [answer(off) for off in known.values()]
    (label, source), least = min(known.items(), key=lambda one: one[1].value)
    return Findings(
        each(said),
        f"After contexts of a kind that was not trained on, the type-token ratio rises in {said.count('Yes')} of "
        f"{len(known)} pairs of data and contexts (least: {label}, contexts of {source}, "
        f"{RATIO.within(least, '+')}; Carlsson et al. give preference for theirs, Li et al. .67 to .69 in "
        "all domains).",
        tables,
        passages=results.passages({label: (label, "greedy") for label in labels}),
    )


STUDY = Study(
    name="domain",
    trials=trials,
    tell=tell,
    scored=True,
    method="The same recipe on each kind of text, joined and cut into sequences, evaluated on held-out "
    "contexts of all. Yes: for every kind that was not trained on the interval of the change of the type-token ratio "
    "lies above 0, for all of them at once. Where a scorer is named, coherence by kind, and MAUVE over all contexts "
    "together.",
)
