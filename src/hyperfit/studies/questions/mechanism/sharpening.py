"""Carlsson et al. (2025), table 3 and figure 4: how sharp predictions become, and what that looks like."""

from typing import Any

import torch

from hyperfit.data.characters import excerpt
from hyperfit.metrics.estimate import Estimate
from hyperfit.models.devices import autocast
from hyperfit.numbers import HUNDREDTHS, PERCENT, PERPLEXITY
from hyperfit.studies.measures.extra import Extra, Subject
from hyperfit.studies.measures.results import BASE, Results
from hyperfit.studies.questions.texts.main import LABEL, trials
from hyperfit.studies.study import Findings, Passage, Row, Study, Table
from hyperfit.studies.words import answer, each

MEASURES = ("entropy", "top1_mass", "top3_mass", "top5_mass", "perplexity", "top1_agreement_with_base")
NAME = "expectations"
TEXTS, SHOWN = 4, 5
"""Contexts of which the expectation of the next token is shown, and its likeliest tokens."""
PAPERS = {
    BASE: {"entropy": (2.84, 3.48), "top1_mass": (0.48, 0.56)},
    LABEL: {"entropy": (1.32, 1.46), "top1_mass": (0.74, 0.74)},
}


def expectations(subject: Subject) -> dict[str, Any]:
    """Of the first contexts: the end of each, and the likeliest next tokens with their probabilities."""
    bench, reader = subject.bench, subject.reader
    found = []
    for context in bench.texts.contexts[:TEXTS]:
        with torch.no_grad(), autocast(bench.device, bench.precision):
            logits = reader.logits(reader.states(torch.tensor([context]))[:, -1])
        best = logits.float().softmax(-1)[0].topk(SHOWN)
        tokens = [str(bench.tokenizer.decode([token])) for token in best.indices.tolist()]
        found.append({
            "context": excerpt(bench.tokenizer, context),
            "next": list(zip(tokens, (round(p, 4) for p in best.values.tolist()), strict=True)),
        })  # fmt: skip
    return {"of": found}


def tell(results: Results) -> Findings:
    """Whether entropy falls while human text becomes less likely."""
    rows = [row for label in (BASE, *results.labels) for row in (results.row(label, MEASURES), *published(label))]
    table = Table("sharpening", "Predictions of human text", rows, MEASURES)
    if not results.labels:
        return Findings("Not shown", "No training came to its end.", [table])
    entropy, loss = (results.difference(LABEL, BASE, measure) for measure in ("entropy", "perplexity"))
    sharper = Estimate(-entropy.value, -entropy.high, -entropy.low, entropy.n)
    return Findings(
        each((answer(sharper), answer(loss))) if answer(sharper) != "No" else "No",
        f"On human text the entropy goes from {HUNDREDTHS.told(results.estimate(BASE, 'entropy').value)} to "
        f"{HUNDREDTHS.told(results.estimate(LABEL, 'entropy').value)} nats, {HUNDREDTHS.within(entropy, '+')}, the "
        f"probability of the likeliest token from {PERCENT.told(results.estimate(BASE, 'top1_mass').value)} to "
        f"{PERCENT.told(results.estimate(LABEL, 'top1_mass').value)}, and perplexity from "
        f"{PERPLEXITY.told(results.estimate(BASE, 'perplexity').value)} to "
        f"{PERPLEXITY.told(results.estimate(LABEL, 'perplexity').value)} "
        "(Carlsson et al.: 2.84–3.48 to 1.32–1.46 nats, 48–56 to 74 %).",
        [table],
        passages=passages(results),
    )


def passages(results: Results) -> list[Passage]:
    """What both models expect behind the first contexts, as the first seed has it."""
    models = {BASE: results.base, **({LABEL: results.models[LABEL][0]} if results.models.get(LABEL) else {})}
    known = {name: one.extra[NAME]["of"] for name, one in models.items() if NAME in one.extra}
    return [
        Passage(
            of_base["context"],
            {
                name: ", ".join(f"“{token}” {PERCENT.told(p)}" for token, p in rows[place]["next"])
                for name, rows in known.items()
            },
        )
        for place, of_base in enumerate(known.get(BASE, []))
    ]


def published(label: str) -> list[Row]:
    """What the paper has for a row: ranges over its models."""
    cells = {
        measure: Estimate((low + high) / 2, low, high, 0) for measure, (low, high) in PAPERS.get(label, {}).items()
    }
    return [Row(label, cells, "Carlsson et al. 2025, all models, their range")] if cells else []


STUDY = Study(
    name="sharpening",
    trials=trials,
    tell=tell,
    extras=(Extra(NAME, expectations),),
    method="Both models read how people went on: entropy, the probability of the likeliest 1, 3 and 5 tokens, and "
    "perplexity. Yes: the intervals of the fall of the entropy and of the rise of the loss lie above 0. Below the "
    "numbers, what they expect next behind a few contexts.",
)
