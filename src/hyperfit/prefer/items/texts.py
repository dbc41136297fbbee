"""Texts by condition: from the samples of evaluated runs, or from a file of any generator's."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperfit.errors import UserError, collecting, naming
from hyperfit.evaluation.external_lines import read_lines
from hyperfit.image.settings import LINES
from hyperfit.prefer.judgement import HUMAN
from hyperfit.report.texts.samples import by_condition
from hyperfit.runs.contents import check_contents

Key = tuple[str, int]
"""(context, how many texts of the same condition with that context come before): what two conditions' texts share."""


@dataclass(frozen=True)
class Text:
    """One continuation."""

    context: str
    continuation: str
    domain: str
    """The source of the context; "" where it is not told."""
    run: str
    """The folder or file it comes from."""
    tokens: int | None
    """Of context and continuation together, as far as the run tells."""


Texts = dict[str, dict[Key, Text]]
"""Condition → its texts."""


def texts_of_runs(folders: Sequence[Path]) -> Texts:
    """The samples of runs. Of several, a condition is called ``hyperfitted/greedy @ RUN`` unless all wrote the same.

    Raises UserError for each folder without samples.
    """
    problems: list[str] = []
    runs: dict[str, Texts] = {}
    for name, folder in zip(short_names(folders), folders, strict=True):
        with collecting(problems):
            runs[name] = texts_of_run(folder)
    if problems:
        raise UserError(*problems)
    found: Texts = {}
    for condition in dict.fromkeys(condition for texts in runs.values() for condition in texts):
        of_runs = {name: texts[condition] for name, texts in runs.items() if condition in texts}
        (first, *others) = of_runs.values()
        if condition == HUMAN:
            found[HUMAN] = {key: text for texts in reversed(of_runs.values()) for key, text in texts.items()}
        elif len(folders) == 1 or (others and all(written(one) == written(first) for one in others)):
            found[condition] = first
        else:
            found |= {f"{condition} @ {name}": texts for name, texts in of_runs.items()}
    return found


def texts_of_run(folder: Path) -> Texts:
    """The samples of one run, or of a folder that hyperfit evaluate --output has filled; of pictures, completions.

    Raises UserError if there are none, and for links in the folder that lead out of it.
    """
    with naming("RUN"):
        check_contents(folder)
    if (folder / LINES).is_file():
        return texts_of_file(folder / LINES)
    conditions = by_condition(folder) if (folder / "samples").is_dir() else {}
    if not conditions:
        raise UserError(
            f"RUN {folder}: holds no samples to judge; run hyperfit evaluate {folder} first, or hyperfit complete "
            f"{folder} for pictures"
        )
    total = tokens_of(folder)
    return {
        name: keyed(
            Text(row["context"], row["continuation"], row.get("source", ""), str(folder), total)
            for row in rows
            if isinstance(row.get("context"), str) and isinstance(row.get("continuation"), str)
        )
        for name, rows in conditions.items()
    }


def tokens_of(folder: Path) -> int | None:
    """Tokens of context and continuation in a run's evaluation; None where it does not tell."""
    try:
        total = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["settings"]["total"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return total if isinstance(total, int) else None


def texts_of_file(path: Path) -> Texts:
    """The texts of a .jsonl file; its references, and lines whose model is "human", are the condition ``human``."""
    lines = [line for line in read_lines(path) if line.context]
    if not lines:
        raise UserError(f"--texts {path}: no line has a context to continue; add that field")
    rows: dict[str, list[Text]] = {}
    for line in lines:
        rows.setdefault(line.condition, []).append(
            Text(line.context, line.continuation, line.source, str(path), tokens=None)
        )
    references = {line.context: line for line in lines if line.reference is not None}
    rows.setdefault(HUMAN, []).extend(
        Text(context, line.reference or "", line.source, str(path), tokens=None) for context, line in references.items()
    )
    return {name: keyed(texts) for name, texts in rows.items() if texts}


def keyed(texts: Iterable[Text]) -> dict[Key, Text]:
    """Texts by context, and by their order where several share one."""
    found: dict[Key, Text] = {}
    count: dict[str, int] = {}
    for text in texts:
        place = count.get(text.context, 0)
        count[text.context] = place + 1
        found[text.context, place] = text
    return found


def written(texts: Mapping[Key, Text]) -> dict[Key, str]:
    """What was written, without whose it is."""
    return {key: text.continuation for key, text in texts.items()}


def short_names(folders: Sequence[Path]) -> list[str]:
    """The last part of each path, or as many parts as tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(one[-length:]) for one in parts]
        if len(set(names)) == len(names):
            return names
    raise UserError("RUN is given twice; name each run once")
