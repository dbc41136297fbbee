"""The citation index of a run: built once from the sequences it was trained on, and kept in its folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase

from hyperfit.console import say
from hyperfit.data.corpus import Corpus, build_corpus
from hyperfit.errors import UserError
from hyperfit.generation.citations.blocking import CitationBlocker
from hyperfit.generation.citations.index import CitationIndex
from hyperfit.generation.citations.word_starts import word_starts
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import is_run

Training = Sequence[Sequence[int]]
MakeBlocker = Callable[[list[int] | None], CitationBlocker]
"""Makes what forbids citations, of the ids that end a text."""


def trained_on(run: RunDir, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """What the run has learned: its training sequences, of chats each reply by itself, without what was only read.

    Raises UserError if its texts have changed, and with them what was held out.
    """
    return corpus_of(run, tokenizer).learned_texts


def corpus_of(run: RunDir, tokenizer: PreTrainedTokenizerBase) -> Corpus:
    """What the run was trained on. Raises UserError if its texts have changed."""
    return unchanged(run, lambda: build_corpus(run.recipe, tokenizer))


def unchanged(run: RunDir, build: Callable[[], Corpus]) -> Corpus:
    """What ``build`` makes of the run's data. Raises UserError if that is not what the run was trained on."""
    try:
        corpus = build()
        same = corpus.fingerprint == run.environment["data_fingerprint"]
    except UserError as error:
        raise UserError(
            f"{run.recipe.data}: the data of {run.path} cannot be read (from this folder); restore them",
            *error.problems,
        ) from error
    if not same:
        raise UserError(f"{run.recipe.data}: the data are not those that {run.path} was trained on; restore them")
    return corpus


def run_citations(
    run: RunDir, tokens: int, training: Callable[[], Training], *, keep: Path | None = None
) -> CitationIndex:
    """What follows every ``tokens`` tokens in a row of the run's training data.

    It lies in RUN/citations-TOKENS-FINGERPRINT.safetensors, under the fingerprint of the training data. If it is not
    there or damaged, it is built of ``training()``, what the run has learned, and saved; in the folder ``keep``, where
    one is named. Raises UserError if that is too short.
    """
    if tokens >= run.recipe.length:
        raise UserError(
            f"--citation-tokens {tokens}: nothing follows so many in training sequences of {run.recipe.length} tokens; "
            f"give at most {run.recipe.length - 1}"
        )
    name = f"citations-{tokens}-{run.environment['data_fingerprint']}.safetensors"
    file = (keep or run.path) / name
    for there in dict.fromkeys((run.path / name, file)):
        if there.is_file():
            try:
                return CitationIndex.load(there)
            except UserError as damage:
                say(f"{damage}; that is done now")
    texts = training()
    if tokens >= (longest := max(map(len, texts))):
        raise UserError(
            f"--citation-tokens {tokens}: nothing follows so many in replies of at most {longest} tokens, which are "
            "what was learned; give fewer, or leave blocking out"
        )
    index = CitationIndex.build(texts, tokens)
    try:
        index.save(file)
    except (OSError, SafetensorError) as error:  # a folder that is not ours to write in: blocking works all the same
        reason = getattr(error, "strerror", None) or error
        say(f"{file}: the citation index cannot be kept ({reason}); it is built anew each time")
    return index


def run_to_block(model: str) -> RunDir:
    """The run that a model is, for --block-citations. Raises UserError for a model that is none."""
    if not is_run(model):
        raise UserError(
            f"--block-citations: {model} is no run of hyperfit, so what it was trained on is not known; give the "
            "folder of a run"
        )
    return RunDir.open(Path(model))


class BlockingSettings(Protocol):
    """What a command is told of citations."""

    @property
    def citation_tokens(self) -> int:
        """How many tokens in a row are looked at."""

    @property
    def citation_generated_only(self) -> bool:
        """Whether none of them may lie in the context."""

    @property
    def citation_whole_words(self) -> bool:
        """Whether a word that has begun may be completed."""


def blocker_of_run(
    run: RunDir,
    settings: BlockingSettings,
    tokenizer: PreTrainedTokenizerBase,
    training: Callable[[], Training],
    *,
    keep: Path | None = None,
) -> MakeBlocker:
    """A maker of what forbids citing the run's training data.

    The index is found or built now, as ``run_citations`` says. Raises UserError as it does.
    """
    index = run_citations(run, settings.citation_tokens, training, keep=keep)
    starts = word_starts(tokenizer) if settings.citation_whole_words else None
    return lambda ends: CitationBlocker(
        index,
        count_context=not settings.citation_generated_only,
        pad_token_id=0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
        eos_token_id=ends,
        word_starts=starts,
    )
