"""hyperfit judge."""

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from tyro.conf import Positional, arg

from hyperfit.commands.interface.output import Json
from hyperfit.commands.prefer_score import show
from hyperfit.errors import UserError
from hyperfit.prefer.judges.dimensions import ALL, Dimension
from hyperfit.prefer.judges.settings import JudgeSettings

if TYPE_CHECKING:
    from hyperfit.prefer.judgement import Judgement
    from hyperfit.prefer.statistics.between import WithPeople


@dataclass(frozen=True, kw_only=True)
class Judge(JudgeSettings):
    """Let a model judge which of two texts reads better: each continuation against the human one, or all pairs.

    At an endpoint a model is asked about every pair in both orders; what it answers differently in the two is a tie.
    Every exchange is kept beside the judgements, and a repeated command asks only what is not answered yet. Without an
    endpoint the model judges by its log-likelihood, which is no reader's preference: it likes loops.
    """

    run_folders: Annotated[Positional[tuple[Path, ...]], arg(name="run", metavar="[RUN ...]")] = ()
    """Evaluated runs, whose samples are judged."""
    dimensions: Annotated[tuple[Dimension, ...], arg(metavar="[NAME ...]")] = ALL
    """What is asked: overall always, and fluency, coherence, factuality, informativeness, interestingness,
    story_development."""
    people: tuple[Path, ...] = ()
    """Judgements of people on the same pairs (hyperfit prefer export): how far the model agrees with them."""
    dry_run: bool = False
    """Only say what would be asked, what that takes, and the first question."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE.jsonl")] = None
    """Where the judgements go, for hyperfit prefer score; the exchanges lie beside it in FILE.exchanges.jsonl. None:
    RUN/judgements/MODEL.jsonl; needed with several runs, or with --texts."""
    json: Json = False
    """Print the scores as JSON instead of tables."""

    groups: ClassVar = {
        "what is judged": ("design", "texts", "conditions", "most_contexts", "seed"),
        "the judge": ("model", "endpoint", "dimensions", "most_tokens", "key_variable", "device"),
        "requests": ("concurrency", "timeout", "retries", "price_read", "price_written", "dry_run"),
        "what is written": ("people", "output", "json"),
    }
    positional_unless: ClassVar = ("--texts",)

    def run(self) -> None:
        """Judge, write, and print the scores."""
        settings = JudgeSettings(**{field.name: getattr(self, field.name) for field in fields(JudgeSettings)})
        output = self.checked_output()
        from hyperfit.web.installed import SCORING, check_installed

        check_installed("hyperfit judge", SCORING)
        if self.dry_run:
            from hyperfit.prefer.judges.judge import dry_run

            print(dry_run(self.run_folders, settings, output))
            return
        from hyperfit.prefer.reading.files import read_judgements

        people = read_judgements(self.people).people if self.people else []
        if settings.endpoint is None:
            self.by_likelihood(settings, output, people)
        else:
            self.at_endpoint(settings, output, people)

    def checked_output(self) -> Path:
        """Where the judgements go. Raises UserError for flags that do not go together."""
        problems = []
        if bool(self.run_folders) == (self.texts is not None):
            problems.append("judge: give either a RUN, or texts from elsewhere with --texts FILE.jsonl")
        if self.dry_run and self.endpoint is None:
            problems.append("--dry-run: is for an --endpoint; without one nothing is asked")
        if self.output is not None and (self.output.suffix != ".jsonl" or self.output.is_dir()):
            problems.append(f"--output {self.output}: give the name of a .jsonl file")
        if self.output is None and len(self.run_folders) != 1:
            problems.append("--output is missing; with --texts or several runs, name a .jsonl file")
        if problems:
            raise UserError(*problems)
        if self.output is not None:
            return self.output
        what = "" if self.endpoint else "log-likelihood-"
        name = re.sub(r"[^\w.-]+", "-", self.model).strip("-.")
        return self.run_folders[0] / "judgements" / f"{what}{name}-{self.design}.jsonl"

    def at_endpoint(self, settings: JudgeSettings, output: Path, people: "list[Judgement]") -> None:
        """Ask, write and print."""
        from hyperfit.models.loading import load_tokenizer
        from hyperfit.prefer.judges.judge import judge_at_endpoint
        from hyperfit.prefer.judges.leanings import leanings

        judged = judge_at_endpoint(self.run_folders, settings, output)
        by_item = {one.item: one for one in judged.judgements}
        pairs = [pair for pair in judged.pairs if pair.id in by_item]
        signs = {"first": 1.0, "second": -1.0, "equal": 0.0}
        encode = load_tokenizer("builtin:tiny").encode
        tokens = {text: encode(text) for pair in pairs for text in (pair.first_text, pair.second_text)}
        leaning = leanings(pairs, [signs[by_item[pair.id].choice] for pair in pairs], tokens)
        told = {**judged.to_dict(), "leanings": leaning.to_dict()}
        self.tell(judged.judgements, output, people, told, [*judged.sentences(), *leaning.sentences()])

    def by_likelihood(self, settings: JudgeSettings, output: Path, people: "list[Judgement]") -> None:
        """Read, write and print."""
        from hyperfit.prefer.judges.judge import write_lines
        from hyperfit.prefer.judges.likelihood import judge_by_likelihood

        judged = judge_by_likelihood(self.run_folders, settings)
        write_lines(output, judged.lines())
        told = {"asked": len(judged.pairs), "leanings": judged.leanings.to_dict()}
        note = "This is how likely the model finds each text, token for token: not which one reads better."
        self.tell(judged.judgements, output, people, told, [note, *judged.leanings.sentences()])

    def tell(
        self,
        judgements: "list[Judgement]",
        output: Path,
        people: "list[Judgement]",
        told: dict[str, object],
        sentences: list[str],
    ) -> None:
        """The scores as tables or JSON."""
        from hyperfit.prefer.statistics.between import agreement_with_people
        from hyperfit.prefer.statistics.score import score

        scores = score(judgements)
        agreement: WithPeople | None = agreement_with_people(judgements, people) if people else None
        if self.json:
            beside = {} if agreement is None else {"agreement_with_people": agreement.to_dict()}
            print(json.dumps({**scores.to_dict(), **told, **beside, "output": str(output)}, ensure_ascii=False))
            return
        show(scores, judgements[0].judge, [*sentences, *([] if agreement is None else agreement.sentences())])
        print(f"Judgements: {output}; hyperfit prefer score {output} scores them beside others")
