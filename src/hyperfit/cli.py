"""The commands: parse, call one function, print. Everything heavy is imported inside a command."""

import io
import json
import os
import sys
import time
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg, subcommand

from hyperfit import __version__
from hyperfit.assets import PREFIX
from hyperfit.console import say
from hyperfit.decode.decodings import spellings
from hyperfit.errors import UserError
from hyperfit.mechanism.inquiry import UNASKED, Inquiry, Study
from hyperfit.presets import PRESETS
from hyperfit.recipe import CacheMode, Recipe
from hyperfit.requests import Evaluation, Request

if TYPE_CHECKING:
    from hyperfit.rundir import RunDir

PresetName = Literal["carlsson2025", "li2026", "tiny", "tiny-full"]
Json = Annotated[bool, arg(name="json")]


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The main job on the embedded model and texts, in a few minutes: train, evaluate, compare, report.

    A small language model that loops under greedy decoding is trained to near-zero loss on a few short stories;
    then it and the original continue the same held-out contexts. A demo that was interrupted goes on.
    """

    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Folder of the run. None: runs/demo, or runs/demo-full."""
    method: Literal["late-lora", "full"] = "late-lora"
    """late-lora: adapters in the last blocks; full: all parameters."""
    json: Json = False
    """Print the results as JSON instead of a table."""

    def run(self) -> None:
        """Train, evaluate, print, and write the report."""
        from hyperfit.demo import demo

        folder = self.output or Path("runs/demo" if self.method == "late-lora" else "runs/demo-full")
        show_results(demo(folder, self.method), as_json=self.json, texts=3)


@dataclass(frozen=True, kw_only=True)
class Train(Recipe):
    """Train a model to near-zero loss on a few texts.

    Leaves in the output folder the recipe, the log of every epoch, and an adapter (or a model) in Hugging Face
    format. Ctrl-C leaves a run that the same command with --resume goes on with.

    Example: hyperfit train TinyLlama/TinyLlama_v1.1 --data stories.jsonl -o runs/stories
    """

    model: Annotated[Positional[str], arg(metavar="MODEL")]
    """Model folder, hub id, or builtin:tiny."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Folder of the run. None: runs/MODEL-DATA-METHOD."""
    preset: PresetName | None = None
    """Start from a recipe of the papers (carlsson2025, li2026) or of the embedded model (tiny, tiny-full);
    other flags change it."""
    resume: bool = False
    """Go on with the run that lies in the output folder; begin it if none does."""
    prefix_cache: CacheMode = "auto"
    """auto: compute the frozen blocks once and read their output back, which changes speed and nothing else, where
    the model allows it; off; required: or fail."""
    cache_dir: Path | None = None
    """Folder of the prefix caches, shared by runs on the same model and data. None: .prefix-cache beside the run."""
    streaming: bool = False
    """Never hold the frozen blocks: read them from the disk one at a time to fill the prefix cache, then train with
    the late blocks alone in memory. For models that are too large for this machine."""

    @property
    def recipe(self) -> Recipe:
        """The settings without what only the command line knows."""
        return Recipe(**{field.name: getattr(self, field.name) for field in fields(Recipe)})

    def run(self) -> None:
        """Train and say where the result lies."""
        from hyperfit.training import train

        run = train(
            self.recipe,
            self.output or default_output(self.recipe),
            resume=self.resume,
            prefix_cache=self.prefix_cache,
            cache_dir=self.cache_dir,
            streaming=self.streaming,
        )
        say(f"next: hyperfit evaluate {run.path}")


@dataclass(frozen=True, kw_only=True)
class Evaluate(Evaluation):
    """Continue the same contexts with the base and the hyperfitted model, measure both, and the human text.

    Prints tables; writes evaluation.json, tables/ (CSV and LaTeX), samples/ and report.html into the run's folder.
    With --texts it measures texts that any generator wrote instead.
    """

    run_folder: Annotated[Positional[Path | None], arg(name="run", metavar="[RUN]")] = None
    """A run made by hyperfit train."""
    texts: Path | None = None
    """In place of a run: a .jsonl file of texts from elsewhere, one object a line with the field continuation, and, if
    known, context, reference (what a human wrote there), model and decoding (each pair is a row of the tables)."""
    tokenizer: str | None = None
    """With --texts: the model whose tokens are counted. None: builtin:tiny."""
    training: str | None = None
    """With --texts: what the generator was trained on, for the measures of memorisation; a source as for --data."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """With --texts: a folder for evaluation.json and tables/. None: only print."""
    json: Json = False
    """Print the results as JSON instead of tables."""

    def run(self) -> None:
        """Evaluate, print, and renew the report."""
        settings = Evaluation(**{field.name: getattr(self, field.name) for field in fields(Evaluation)})
        self.check(settings)
        if self.texts is not None:
            self.measure_texts(self.texts)
        elif self.run_folder is not None:
            from hyperfit.evaluation import evaluate
            from hyperfit.report.page import write_report
            from hyperfit.rundir import RunDir

            run = RunDir.open(self.run_folder)
            evaluate(run, settings)
            write_report(run)
            show_results(run, as_json=self.json, texts=2)

    def check(self, settings: Evaluation) -> None:
        """Raises UserError unless there is just one thing to evaluate, and all flags are of use for it."""
        if (self.run_folder is None) == (self.texts is None):
            raise UserError(
                "evaluate: give either a RUN, before any flag that takes several values, or texts from elsewhere with "
                "--texts FILE.jsonl"
            )
        foreign = {"tokenizer": self.tokenizer, "training": self.training, "output": self.output}
        useless = [name for name, value in foreign.items() if value is not None]
        if self.texts is not None:
            useless = [name for name, value in vars(settings).items() if value != getattr(Evaluation(), name)]
        wrong = "--texts; it goes with a RUN" if self.texts is not None else "a RUN; it goes with --texts"
        if useless:
            raise UserError(*(f"--{name.replace('_', '-')}: is not for {wrong}; leave it out" for name in useless))

    def measure_texts(self, texts: Path) -> None:
        """Measure texts from elsewhere, and print or write what they come to."""
        from hyperfit.foreign import ForeignTexts, evaluate_texts
        from hyperfit.report.exports import write_tables
        from hyperfit.report.paper_tables import all_tables
        from hyperfit.rundir import write_json

        given = {"tokenizer": self.tokenizer} if self.tokenizer is not None else {}
        results = evaluate_texts(ForeignTexts(texts=texts, training=self.training, **given))
        if self.output is not None:
            write_json(self.output / "evaluation.json", results)
            write_tables(self.output / "tables", all_tables(results))
        show_tables(results, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class Generate(Request):
    """Continue prompts with a hyperfitted model, an adapter, or any model."""

    model: Annotated[Positional[str], arg(metavar="MODEL")]
    """A run, an adapter folder, a model folder, a hub id, or builtin:tiny."""
    decoding: Annotated[str, arg(help=f"By name, or with other values, as in nucleus:top_p=0.95. {spellings()}.")] = (
        "greedy"
    )
    json: Json = False
    """Print one JSON object a line: prompt, continuation, decoding, seed, and how citations were blocked."""

    def run(self) -> None:
        """Print the continuations."""
        from hyperfit.continuations import continuations

        request = Request(**{field.name: getattr(self, field.name) for field in fields(Request)})
        for row in continuations(request):
            print(json.dumps(row, ensure_ascii=False) if self.json else f"{row['prompt']}{row['continuation']}\n")


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one self-contained HTML page from what lies in a run's folder."""

    run_folder: Annotated[Positional[Path], arg(name="run", metavar="RUN")]
    """A run made by hyperfit train."""
    texts: int = 6
    """Contexts whose continuations are shown."""

    def run(self) -> None:
        """Write the page and print its path."""
        from hyperfit.report.page import write_report
        from hyperfit.rundir import RunDir

        print(write_report(RunDir.open(self.run_folder), self.texts))


@dataclass(frozen=True, kw_only=True)
class Mechanism(Inquiry):
    """Study what hyperfitting changed inside a model, and why it writes: temperature, ranks, layers, interventions.

    Prints one finding a study; writes mechanism.json, mechanism.html and plots/ into the run's folder, or into
    --output for models trained elsewhere. Studies that lie there with the same settings are not run again.

    Example: hyperfit mechanism --base models/llama --tuned models/mine --contexts stories.jsonl -o out
    """

    run_folder: Annotated[Positional[Path | None], arg(name="run", metavar="[RUN]")] = None
    """A run made by hyperfit train; without one, give --base, --tuned, --contexts and --output."""
    base: str | None = None
    """Model that the tuned one was made from: a folder, a hub id, or builtin:tiny."""
    tuned: str | None = None
    """Model made from it: a model folder, a hub id, an adapter folder, or a run."""
    studies: Annotated[tuple[Study, ...], arg(metavar="[STUDY ...]")] = UNASKED
    """temperature: the base model at equal entropy; bias: promoted tokens injected; ranks: where choices come from in
    the base model's order; geometry: hidden states by layer; lens: what each layer would say; intervention: whether
    the last layers cause it; encouragement: human tokens near the top. Only if named, and only of a run: placement,
    where to adapt, which trains the run's recipe anew about three times for every block, in placement/."""
    contexts: Annotated[tuple[str, ...], arg(aliases=["--data"])] = ()
    """Texts to study: files, folders, hub data sets or builtin:NAME; of a run, what was not trained on is used.
    Empty: the held-out texts of the run's own data."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Folder of the results. None: the run's."""
    again: bool = False
    """Run every study anew, also those that lie there with the same settings."""
    json: Json = False
    """Print the results as JSON instead of sentences."""

    def run(self) -> None:
        """Study, print, and write the page."""
        from hyperfit.mechanism.explain import explain
        from hyperfit.mechanism.subject import models_of
        from hyperfit.report.mechanism_page import write_mechanism_page
        from hyperfit.report.page import write_report

        inquiry = Inquiry(**{field.name: getattr(self, field.name) for field in fields(Inquiry)})
        models = models_of(self.run_folder, base=self.base, tuned=self.tuned, output=self.output)
        results = explain(models, inquiry, again=self.again)
        page = write_mechanism_page(models.output, results)
        if models.run is not None and (models.run.path / "report.html").is_file():
            write_report(models.run)
        if self.json:
            print(json.dumps(results, ensure_ascii=False))
            return
        for name, found in results["studies"].items():
            print(f"{name}: {found['sentence']}\n")
        print(f"Page: {page}")


RUNS_CACHE = Path("runs/.prefix-cache")


@dataclass(frozen=True, kw_only=True)
class CacheList:
    """Show the prefix caches in a folder: what they hold, how large they are, when they were last used."""

    cache_dir: Path = RUNS_CACHE
    """Folder of the caches: .prefix-cache beside the runs, or what --cache-dir named."""
    json: Json = False
    """Print one JSON object a line."""

    def run(self) -> None:
        """Print a line a cache."""
        from hyperfit.prefix.store import entries, readable

        found = entries(self.cache_dir)
        if self.json:
            for entry in found:
                print(json.dumps({"name": entry.path.name, **entry.about, "used": round(entry.used)}))
            return
        from rich.console import Console
        from rich.table import Table

        table = Table("name", "model", "blocks", "states", "type", "size", "last used", box=None)
        for entry in found:
            states = entry.about["states"]
            table.add_row(
                entry.path.name,
                Path(entry.about["model"]).name,
                f"0–{entry.about['key']['blocks'] - 1}",
                " × ".join(map(str, states["shape"])),
                states["dtype"],
                readable(states["bytes"]),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)),
            )
        console = Console(width=None if sys.stdout.isatty() else 120)
        with console.capture() as page:
            console.print(table if found else f"no prefix caches in {self.cache_dir}")
        print(page.get(), end="")


@dataclass(frozen=True, kw_only=True)
class CacheClear:
    """Remove prefix caches, and what interrupted fills have left. A run that is reading one goes on undisturbed."""

    names: Annotated[Positional[tuple[str, ...]], arg(metavar="[NAME ...]")] = ()
    """Those to remove, as hyperfit cache list names them; without a name, all."""
    cache_dir: Path = RUNS_CACHE
    """Folder of the caches: .prefix-cache beside the runs, or what --cache-dir named."""

    def run(self) -> None:
        """Remove, and say what has gone."""
        from hyperfit.prefix.store import clear, readable

        gone = clear(self.cache_dir, self.names)
        for name, size in gone:
            print(f"removed {name} ({readable(size)})")
        if not gone:
            print(f"no prefix caches in {self.cache_dir}")


@dataclass(frozen=True, kw_only=True)
class Cache:
    """Show or remove prefix caches: the frozen blocks' output, kept so that runs on the same data can share it."""

    what: Annotated[
        Annotated[CacheList, subcommand("list", prefix_name=False)]
        | Annotated[CacheClear, subcommand("clear", prefix_name=False)],
        arg(name=""),
    ]

    def run(self) -> None:
        """Do it."""
        self.what.run()


Command = Demo | Train | Evaluate | Generate | Report | Mechanism | Cache


def default_output(recipe: Recipe) -> Path:
    """runs/MODEL-DATA-METHOD, with the last part of each name."""
    model, data = (name.rstrip("/").split("/")[-1].removeprefix(PREFIX) for name in (recipe.model, recipe.data))
    if Path(recipe.data).is_file():
        data = Path(data).stem
    return Path("runs") / f"{model}-{data}-{recipe.method}".replace(":", "-")


def show_results(run: "RunDir", *, as_json: bool, texts: int) -> None:
    """The evaluation as tables with some texts, or as JSON; and where the report is."""
    from hyperfit.report.texts import terminal_texts

    results = json.loads((run.path / "evaluation.json").read_text(encoding="utf-8"))
    show_tables(results, *(() if as_json else [terminal_texts(run, texts)]), as_json=as_json)
    if not as_json:
        print(f"Report: {run.path / 'report.html'}; tables as CSV and LaTeX: {run.path / 'tables'}")


def show_tables(results: dict[str, Any], *more: Any, as_json: bool) -> None:
    """An evaluation as JSON with its tables, or as the papers' tables, copies, and what else is given."""
    from rich.console import Console

    from hyperfit.report.exports import to_json
    from hyperfit.report.paper_tables import all_tables, blocking_lines, terminal_tables
    from hyperfit.report.table import terminal_sheets
    from hyperfit.report.texts import terminal_copies

    if as_json:
        print(json.dumps({**results, "tables": to_json(all_tables(results))}, ensure_ascii=False))
        return
    console = Console(width=None if sys.stdout.isatty() else 100)
    with console.capture() as page:  # rich would end the process itself if the reader of a pipe has gone
        for shown in (
            terminal_sheets(terminal_tables(results)),
            *blocking_lines(results),
            terminal_copies(results),
            *more,
        ):
            console.print(shown, highlight=False)
    print(page.get(), end="")


def parse(arguments: list[str]) -> Command:
    """The command that the arguments spell. --preset sets the defaults of train's other flags."""
    preset = next((after for flag, after in pairwise(arguments) if flag == "--preset"), None)
    preset = next((flag.partition("=")[2] for flag in arguments if flag.startswith("--preset=")), preset)
    recipe = (
        PRESETS[preset](tyro.MISSING, tyro.MISSING)
        if preset in PRESETS
        else Recipe(model=tyro.MISSING, data=tyro.MISSING)
    )
    defaults = Train(**{field.name: getattr(recipe, field.name) for field in fields(Recipe)})
    commands = (
        Annotated[Demo, subcommand("demo")]
        | Annotated[Train, subcommand("train", default=defaults)]
        | Annotated[Evaluate, subcommand("evaluate")]
        | Annotated[Generate, subcommand("generate")]
        | Annotated[Report, subcommand("report")]
        | Annotated[Mechanism, subcommand("mechanism")]
        | Annotated[Cache, subcommand("cache", prefix_name=False)]
    )
    return tyro.cli(commands, args=arguments, prog="hyperfit", config=(FlagCreatePairsOff,))


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit status 0, 2 for what the user can mend, 130 after Ctrl-C or SIGTERM, 1 for a bug."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # texts hold what a terminal may not
    try:
        if arguments == ["--version"]:
            print(f"hyperfit {__version__}")
        else:
            parse(arguments).run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except UserError as error:
        for problem in error.problems:
            print(f"hyperfit: {problem}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # whoever read the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:  # no space, no permission, a read-only disk
        print(
            f"hyperfit: {error.filename or 'output'}: {error.strerror or error}; mend that and repeat", file=sys.stderr
        )
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
