"""Which files hold a study's judgements, and all of them together."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hyperfit.data.reading.inside import check_inside
from hyperfit.errors import UserError, collecting
from hyperfit.numbers import COUNT
from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.reading.lines import MODELS, read_jsonl
from hyperfit.prefer.reading.spreadsheets import SPREADSHEETS, read_spreadsheet

LINES = (".jsonl",)
EXCHANGES = ".exchanges.jsonl"
"""How the names of files end that hold what was sent to a model and came back, not what it judged."""


@dataclass(frozen=True)
class Read:
    """Judgements by who made them."""

    people: list[Judgement]
    models: dict[str, list[Judgement]]
    """Name of a model that was asked → what it judged."""
    likelihoods: dict[str, list[Judgement]]
    """Name of a model → what its log-likelihood says."""

    def without(self, names: Collection[str]) -> "Read":
        """All but the judgements of some annotators or models. Raises UserError for names that there are not."""
        known = {one.judge for one in self.people} | self.models.keys() | self.likelihoods.keys()
        strange = [name for name in names if name not in known]
        if strange:
            raise UserError(f"--without {' '.join(strange)}: has judged nothing; there are {', '.join(sorted(known))}")
        left = Read(
            [one for one in self.people if one.judge not in names],
            {name: rows for name, rows in self.models.items() if name not in names},
            {name: rows for name, rows in self.likelihoods.items() if name not in names},
        )
        if not (left.people or left.models or left.likelihoods):
            raise UserError(f"--without {' '.join(names)}: leaves no judgement; leave somebody in")
        return left


def read_judgements(paths: Sequence[Path]) -> Read:
    """All judgements of files and folders. A line whose ``kind`` is "model" or "likelihood" is of a model.

    Studies number their annotators from 1: of several, one is called STUDY/NUMBER.
    Raises UserError with every problem: files that cannot be read, bad lines, and judgements that are there twice.
    """
    problems: list[str] = []
    found: list[tuple[Judgement, str]] = []
    for path in paths:
        for file in files_of(path, problems):
            with collecting(problems):
                reader = read_spreadsheet if file.suffix.lower() in SPREADSHEETS else read_jsonl
                found += reader(file)
    found = told_apart(found)
    count = Counter((kind, one.judge, one.item, one.purpose) for one, kind in found)
    twice = [key for key, times in count.items() if times > 1]
    if twice:
        _, judge, item, _ = twice[0]
        more = f", and {COUNT(len(twice) - 1)} more like that" if len(twice) > 1 else ""
        problems.append(
            f"{', '.join(map(str, paths))}: {judge} has judged item {item} twice{more}; give each judgement once, and "
            "no file beside another that holds it too"
        )
    if problems:
        raise UserError(*problems)
    by_kind: dict[str, dict[str, list[Judgement]]] = {kind: {} for kind in MODELS}
    for one, kind in found:
        if kind:
            by_kind[kind].setdefault(one.judge, []).append(one)
    return Read([one for one, kind in found if not kind], by_kind["model"], by_kind["likelihood"])


def told_apart(found: Sequence[tuple[Judgement, str]]) -> list[tuple[Judgement, str]]:
    """The same, with the name of the study before each judge's where there are judges of several."""
    if len({one.study for one, kind in found if not kind}) < 2:
        return list(found)
    return [(replace(one, judge=f"{one.study}/{one.judge}") if one.study else one, kind) for one, kind in found]


def files_of(path: Path, problems: list[str]) -> list[Path]:
    """A file itself; of a folder its .jsonl files, or else its spreadsheets, unless one leads out of it: a problem."""
    wanted = ", ".join((*LINES, *SPREADSHEETS))
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith((".", "~$"))]
        for kinds in (LINES, SPREADSHEETS):
            of_kind = [file for file in files if file.suffix.lower() in kinds and not file.name.endswith(EXCHANGES)]
            if of_kind:
                with collecting(problems):
                    check_inside(path, of_kind)
                    return of_kind
                return []
        problems.append(f"{path}: holds no judgements; give a folder or file of {wanted}")
        return []
    if not path.is_file():
        problems.append(f"{path}: no such file; give what hyperfit prefer export or hyperfit judge wrote ({wanted})")
        return []
    if path.suffix.lower() not in (*LINES, *SPREADSHEETS):
        problems.append(f"{path}: is none of {wanted}; export or save it as one of these")
        return []
    return [path]
