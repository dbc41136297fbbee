"""Who writes, and how: the conditions of an evaluation, and the files their texts go to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperfit.evaluation.checks import CheckedEvaluation
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.generation.decodings import Decoding
from hyperfit.generation.settings import citation_settings
from hyperfit.runs.files import writing

HUMAN = "human"
"""The condition that nobody decodes."""


@dataclass(frozen=True)
class Condition:
    """A model and how it decodes."""

    model: str
    """base or hyperfitted"""
    decoding: Decoding
    blocked: bool = False
    """Whether citations of the training data are blocked."""

    @property
    def way(self) -> str:
        """How it writes: greedy, or greedy+blocked."""
        return f"{self.decoding}+blocked" if self.blocked else str(self.decoding)

    @property
    def name(self) -> str:
        """What evaluation.json calls it: hyperfitted/greedy+blocked."""
        return f"{self.model}/{self.way}"

    @property
    def file_name(self) -> str:
        """What its file in samples/ is called."""
        return f"{self.model}-{self.decoding.file_name}{'+blocked' if self.blocked else ''}"

    def made_by(self, settings: EvaluationSettings) -> dict[str, Any]:
        """All that made its texts."""
        how = {"decoding": self.way, **self.decoding.settings, "seed": settings.seed}
        return {**how, **(citation_settings(settings) if self.blocked else {})}


def conditions_of(settings: EvaluationSettings) -> list[Condition]:
    """Both models under every decoding that the settings name; then the hyperfitted one with citations blocked."""
    plain = [Condition(model, decoding) for model in ("base", "hyperfitted") for decoding in settings.decodings_parsed]
    return [*plain, *(Condition("hyperfitted", decoding, blocked=True) for decoding in settings.decodings_blocked)]


def save_samples(
    folder: Path,
    checked: CheckedEvaluation,
    strings: Mapping[str, Sequence[str]],
    conditions: Sequence[Condition],
    written_by: Mapping[str, str],
) -> None:
    """FOLDER/samples/MODEL-DECODING.jsonl: one text a line, with what made it.

    Replaces the samples of earlier evaluations. strings: the continuations of each condition, by its name, and the
    human ones. written_by: the program that wrote each condition; told where it is not transformers alone.
    """
    contexts = checked.texts.context_strings(checked.tokenizer)
    files: list[tuple[str, str, str, dict[str, Any]]] = [
        (condition.file_name, condition.name, condition.model, condition.made_by(checked.settings))
        for condition in conditions
    ]
    told = {} if checked.settings.backend == "transformers" else written_by
    with writing(folder / "samples") as aside:
        aside.mkdir()
        for file_name, name, model, made_by in [*files, (HUMAN, HUMAN, HUMAN, {})]:
            made_by |= {"written_by": told[name]} if name in told else {}
            with (aside / f"{file_name}.jsonl").open("w", encoding="utf-8") as file:
                for source, context, continuation in zip(checked.texts.sources, contexts, strings[name], strict=True):
                    row = {"context": context, "continuation": continuation, "model": model, "source": source}
                    file.write(json.dumps({**row, **made_by}, ensure_ascii=False) + "\n")
