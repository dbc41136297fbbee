"""hyperfit evaluate."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from tyro.conf import Positional, arg

from hyperfit.commands.interface.output import Json, show_results, show_tables
from hyperfit.errors import UserError, collecting
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.evaluation.tasks.also import also_of_tasks
from hyperfit.generation.settings import useless_text_column

if TYPE_CHECKING:
    from hyperfit.runs.directory import RunDir

OF_TEXTS = ("mauve", "coherence", "device", "precision")
"""Settings of an evaluation that go with --texts too."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(EvaluationSettings):
    """Continue the same contexts with the base and the hyperfitted model, measure both, and the human text.

    Prints tables; writes evaluation.json, tables/ (CSV and LaTeX), samples/ and report.html into the run's folder, or
    into --output.
    With --texts it measures texts that any generator wrote instead.
    """

    run_folder: Annotated[Positional[Path | None], arg(name="run", metavar="[RUN]")] = None
    """A run made by hyperfit train."""
    texts: Path | None = None
    """In place of a run: a .jsonl file of texts from elsewhere, one object a line with the field continuation, and, if
    known, context, reference (what a human wrote there), model and decoding (each pair is a row of the tables). Of the
    other flags, --mauve (against the references), --coherence (with the context), --device and --precision go with
    it."""
    tokenizer: str | None = None
    """With --texts: the model whose tokens are counted. None: builtin:tiny."""
    training: str | None = None
    """With --texts: what the generator was trained on, for the measures of memorisation; a source as for --data, with
    --text-column where it is a table."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """A folder for all that is written. None: the run's; with --texts nothing is written then."""
    json: Json = False
    """Print the results as JSON instead of tables."""

    groups: ClassVar = {
        "contexts": ("contexts", "text_column", "most_contexts", "context", "total", "context_seed"),
        "how both models write": ("decodings", "seed", "backend", "batch_size", "batch_invariant"),
        "blocked citations": ("blocked", "citation_tokens", "citation_generated_only", "citation_whole_words"),
        "measures by other models": ("mauve", "coherence"),
        "tasks": ("tasks", "task_limit"),
        "texts from elsewhere": ("texts", "tokenizer", "training"),
        "machine": ("device", "precision"),
        "what is written": ("output", "json"),
    }
    positional_unless: ClassVar = ("--texts",)

    def __post_init__(self) -> None:
        """Raises UserError with every problem of the settings and, where there are some, with those of the tasks."""
        with also_of_tasks(self.tasks_of_run):
            super().__post_init__()

    @property
    def tasks_of_run(self) -> tuple[str, ...]:
        """The tasks that are to be done; with --texts none."""
        return (self.tasks or ()) if self.texts is None else ()

    def run(self) -> None:
        """Evaluate, print, and renew the report."""
        settings = EvaluationSettings(**{field.name: getattr(self, field.name) for field in fields(EvaluationSettings)})
        with also_of_tasks(self.tasks_of_run):
            run = self.checked(settings)
        if self.texts is not None:
            self.measure_texts(self.texts, settings)
        elif run is not None:
            from hyperfit.evaluation.evaluate import evaluate
            from hyperfit.report.pages.run import write_report

            evaluate(run, settings, self.output)
            write_report(run, output=self.output)
            show_results(self.output or run.path, as_json=self.json, texts=2)

    def checked(self, settings: EvaluationSettings) -> "RunDir | None":
        """The run; None with --texts.

        Raises UserError unless there is just one thing to evaluate, and all flags are of use for it.
        """
        if (self.run_folder is None) == (self.texts is None):
            raise UserError("evaluate: give either a RUN, or texts from elsewhere with --texts FILE.jsonl")
        read, sources = (self.contexts, "--contexts") if self.texts is None else (self.training, "--training")
        useless = [useless_text_column(sources)] if self.text_column is not None and not read else []
        if self.texts is not None:
            problems = useless + useless_for_texts(settings)
        else:
            of_texts = {"--tokenizer": self.tokenizer, "--training": self.training}
            problems = useless + [
                f"{flag}: is not for a RUN; it goes with --texts; leave it out"
                for flag, value in of_texts.items()
                if value is not None
            ]
        run = None
        if self.run_folder is not None:
            from hyperfit.runs.directory import RunDir

            with collecting(problems):
                run = RunDir.open(self.run_folder)
        if problems:
            raise UserError(*problems)
        return run

    def measure_texts(self, texts: Path, settings: EvaluationSettings) -> None:
        """Measure texts from elsewhere, and print or write what they come to."""
        from hyperfit.evaluation.external import ExternalTexts, evaluate_texts
        from hyperfit.report.tables.evaluations.papers import all_tables
        from hyperfit.report.tables.exports import write_tables
        from hyperfit.runs.files import write_json

        given = {name: getattr(settings, name) for name in OF_TEXTS}
        given |= {"tokenizer": self.tokenizer} if self.tokenizer is not None else {}
        results = evaluate_texts(
            ExternalTexts(texts=texts, training=self.training, text_column=self.text_column, **given)
        )
        if self.output is not None:
            write_json(self.output / "evaluation.json", results)
            write_tables(self.output / "tables", all_tables(results))
        show_tables(results, as_json=self.json)


def useless_for_texts(settings: EvaluationSettings) -> list[str]:
    """A problem for each flag that says how a run is evaluated, or how a model computes where none does."""
    changed = [
        name
        for name, value in vars(settings).items()
        if name != "text_column" and value != getattr(EvaluationSettings(), name)
    ]
    by_model = [name for name in changed if name in OF_TEXTS]
    problems = [
        f"--{name.replace('_', '-')}: is not for --texts; it goes with a RUN; leave it out"
        for name in changed
        if name not in by_model
    ]
    if settings.mauve is None and settings.coherence is None:
        problems += [
            f"--{name}: is with --texts for --mauve and --coherence; give one of them, or leave it out"
            for name in by_model
        ]
    return problems
