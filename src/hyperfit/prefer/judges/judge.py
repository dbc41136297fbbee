"""A model at an endpoint judges pairs of texts."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hyperfit.console import progress, say
from hyperfit.errors import UserError
from hyperfit.numbers import COUNT, PERCENT
from hyperfit.prefer.items.pairs import Pair, text_pairs_of
from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.judges.asking import ask_all, questions_of
from hyperfit.prefer.judges.costs import Costs, estimated, priced, told
from hyperfit.prefer.judges.endpoint import Endpoint, key_from
from hyperfit.prefer.judges.exchanges import ExchangeLog, usage_of
from hyperfit.prefer.judges.orders import Flips, flips, in_both_orders
from hyperfit.prefer.judges.settings import JudgeSettings
from hyperfit.prefer.reading.files import EXCHANGES
from hyperfit.runs.files import writing
from hyperfit.runs.json_values import json_values


@dataclass(frozen=True)
class Judged:
    """What a judge said, and what that took."""

    pairs: list[Pair]
    judgements: list[Judgement]
    """Of the pairs that were answered in both orders."""
    flips: dict[str, Flips]
    """Dimension → how often the order decided."""
    costs: Costs
    """As the server counted, all commands on this file together."""

    @property
    def unanswered(self) -> int:
        """Pairs without a judgement."""
        return len(self.pairs) - len(self.judgements)

    def to_dict(self) -> dict[str, Any]:
        """Plain values but for the judgements; NaN as None."""
        return dict(
            json_values(
                {
                    "asked": len(self.pairs),
                    "unanswered": self.unanswered,
                    "flips": {name: asdict(one) for name, one in self.flips.items()},
                    "costs": asdict(self.costs),
                }
            )
        )

    def sentences(self) -> list[str]:
        """In words."""
        found = self.flips["overall"]
        lines = [
            f"Asked in both orders, the answer changes with the order on {PERCENT.within(found.flipped)} of "
            f"{COUNT(found.flipped.n)} pairs, which count as ties: on {PERCENT.told(found.to_first_shown.value)} the "
            f"text shown first won both times, on {PERCENT.told(found.to_second_shown.value)} the one shown second."
        ]
        if self.unanswered:
            lines.append(f"{COUNT(self.unanswered)} of {COUNT(len(self.pairs))} pairs have no answer that can be read.")
        return lines


def judge_at_endpoint(runs: Sequence[Path], settings: JudgeSettings, output: Path) -> Judged:
    """Ask the model in both orders about every pair; write the judgements to ``output``, a .jsonl file.

    Every exchange is kept beside it, and what is answered there already is not asked again. Raises UserError for what
    is wrong with texts and settings before anything is asked, and where the server fails for good.
    """
    pairs = text_pairs_of(runs, settings.study)
    questions = questions_of(pairs, settings)
    endpoint = Endpoint(
        settings.endpoint or "",
        key_from(settings.key_variable),
        timeout=settings.timeout,
        retries=settings.retries,
    )
    log = ExchangeLog(exchanges_of(output))
    log.open()
    answered = log.answered()
    left = [question for question in questions if question.key not in answered]
    if left:
        say(told(estimated(left, settings), settings))
        with progress(f"{settings.model} judges", len(left)) as advance:
            ask_all(left, settings, endpoint, log, advance)
    judged = in_both_orders(questions, log.answered(), settings.asked, settings.model)
    if not judged:
        raise UserError(
            f"--model {settings.model}: has answered no pair in both orders; see what it wrote in {log.path}, and try "
            "another model"
        )
    write_lines(output, [one.line() for one in judged])
    return Judged(
        pairs,
        [one.judgement for one in judged],
        {name: flips(judged, name) for name in settings.asked},
        spent(log, settings),
    )


def dry_run(runs: Sequence[Path], settings: JudgeSettings, output: Path) -> str:
    """What would be asked, what that takes, and the first question; nothing is sent or written."""
    questions = questions_of(text_pairs_of(runs, settings.study), settings)
    Endpoint(settings.endpoint or "")
    answered = ExchangeLog(exchanges_of(output)).answered()
    left = [question for question in questions if question.key not in answered]
    pairs = f"{COUNT(len(questions) // 2)} pairs in both orders"
    done = f", {COUNT(len(questions) - len(left))} answered already" if answered else ""
    first = "\n\n".join(message["content"] for message in questions[0].chat)
    return f"{pairs}{done}; {told(estimated(left, settings), settings)}.\n\nThe first question:\n\n{first}"


def exchanges_of(output: Path) -> Path:
    """Where the exchanges behind a file of judgements are kept."""
    return output.with_name(output.name.removesuffix(".jsonl") + EXCHANGES)


def spent(log: ExchangeLog, settings: JudgeSettings) -> Costs:
    """What the server has counted, failed requests with it."""
    usage = [usage_of(row["reply"]) for row in log.rows()]
    read, wrote = (sum(one[name] for one in usage) for name in ("prompt_tokens", "completion_tokens"))
    return priced(len(usage), read, wrote, settings)


def write_lines(output: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A file of judgements, whole or absent."""
    with writing(output) as aside:
        aside.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
