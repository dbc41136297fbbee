"""A study as its NAME.json holds it: the question, how it was asked, on what, and what was found."""

from dataclasses import asdict
from typing import Any

from hyperfit.runs.json_values import json_values
from hyperfit.studies.catalogue import STUDIES
from hyperfit.studies.grid.store import plain
from hyperfit.studies.measures.results import Results
from hyperfit.studies.ranges import within_ranges
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Study


def as_json(study: Study, settings: StudySettings, results: Results, told: Findings) -> dict[str, Any]:
    """Plain values; every interval ends where its measure does."""
    known = {
        "study": study.name,
        "question": STUDIES[study.name].question,
        "source": STUDIES[study.name].source,
        "method": study.method,
        "settings": asdict(settings),
        "contexts": len(results.base.predictions.get("loss", ())),
        "trainings": [
            {
                "label": label,
                "seed": one.trial.recipe.seed,
                "recipe": one.run.recipe.to_dict(),
                "run": one.run.path.name,
                "epochs": one.epochs,
                "reason": one.reason,
                "train_loss": json_values(one.train_loss),
                "seconds": round(one.seconds, 1),
                "peak_memory": json_values(one.peak_memory),
                "parameters": one.parameters,
                "device": one.run.environment.get("device_name"),
            }
            for label, trainings in results.trained.items()
            for one in trainings
        ],
        "lacking": {label: left for label, of in results.trained.items() if (left := settings.seeds - len(of))},
        **json_values(within_ranges(told)),
    }
    return dict(plain(known))
