"""Texts that came from elsewhere, measured as those of our own models are."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from hyperfit.console import say
from hyperfit.data.builtin import text_source
from hyperfit.data.characters import excerpt
from hyperfit.data.corpus import tokenize
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.sources import read_documents
from hyperfit.errors import UserError, collecting, naming
from hyperfit.evaluation.by_model import check_featuriser, check_scorer, coherences, likeness
from hyperfit.evaluation.external_lines import HUMAN, Line, by_condition, own_references, read_lines, with_context
from hyperfit.metrics.by_model.coherence import tokens_and_start
from hyperfit.metrics.by_model.mauve import mauve_text
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.estimate import estimate
from hyperfit.metrics.score import copies, score
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.metrics.text.words import NO_LEXICON, Lexicon, lexicon_of
from hyperfit.models.devices import pick_device, pick_precision
from hyperfit.models.loading import load_tokenizer
from hyperfit.recipes.recipe import Precision


@dataclass(frozen=True, kw_only=True)
class ExternalTexts:
    """What is measured, and how it is read."""

    texts: Path
    """A .jsonl file, one object a line: continuation, and, if it has them, context, reference, model, decoding."""
    tokenizer: str = "builtin:tiny"
    """The model whose tokens are counted."""
    training: str | None = None
    """Texts that the generator was trained on."""
    text_column: str | None = None
    """Their column, where they are a table. None: "text", or the only column of strings."""
    mauve: str | None = None
    """Featuriser of MAUVE against the human texts. None: not measured."""
    coherence: str | None = None
    """Scorer of each text's coherence with its context. None: not measured."""
    device: str = "auto"
    """Where featuriser and scorer compute: auto, cpu, cuda, ..."""
    precision: Precision = "auto"
    """Of the scorer: fp32 or bf16; auto: fp32 on the CPU, else as training chooses."""


@dataclass(frozen=True, kw_only=True)
class CheckedTexts:
    """What the settings come to on this machine."""

    lines: list[Line]
    tokenizer: PreTrainedTokenizerBase
    documents: list[Document]
    """What the generator was trained on; none where that is not told."""
    device: torch.device
    precision: Precision
    """bf16 or fp32"""


def evaluate_texts(settings: ExternalTexts) -> dict[str, Any]:
    """Measure the texts of a .jsonl file under one tokenizer; ``settings``, ``conditions`` and ``copies``.

    These are as in evaluation.json. The references are the condition ``human``, each once, however many
    generators continue its context. Measures of memorisation and ``copies`` only with training data.
    A continuation is measured on the tokens that reach past its context when both are read as one.
    MAUVE compares each condition with the human texts, pair by pair where each text has a reference of its own;
    coherence is that of the texts which have a context.
    Raises UserError with every problem.
    """
    checked = check_texts(settings)
    tokenizer, documents = checked.tokenizer, checked.documents
    strings = by_condition(checked.lines)
    texts = {name: continuation_ids(tokenizer, rows) for name, rows in strings.items()}
    training = tokenize(documents, tokenizer, None) if settings.training else None
    index = TrainingIndex(training) if training is not None else None
    written = {name: [text for _, text in rows] for name, rows in strings.items()}
    contexts = {name: [context for context, _ in rows] for name, rows in strings.items()}
    human = [*written.get(HUMAN, []), *(text for rows in contexts.values() for text in rows)]
    lexicon = lexicon_of((document.text for document in documents), human)
    if lexicon is None:
        say(NO_LEXICON)
    scores = score(texts, training, written, index, contexts, lexicon)
    found = {name: one.summary() for name, one in scores.items()}
    if settings.mauve is not None:
        for name in (name for name in strings if name != HUMAN):
            own = own_references(checked.lines, name)
            found[name]["mauve"] = likeness(
                name,
                own or written[HUMAN],
                written[name],
                featuriser=settings.mauve,
                device=checked.device,
                paired=bool(own),
            )
    if settings.coherence is not None:
        judged = coherences(
            with_context(strings), scorer=settings.coherence, device=checked.device, precision=checked.precision
        )
        for name, values in judged.items():
            found[name]["coherence"] = estimate(values).to_dict()
    results: dict[str, Any] = {"settings": plain_settings(settings, checked, lexicon), "conditions": found}
    if training is not None and index is not None:
        names = [document.name_in(Path(text_source(settings.training or ""))) for document in documents]
        results["copies"] = copies(texts, index, training, partial(excerpt, tokenizer), names, contexts)
    say_short(texts)
    return results


def check_texts(settings: ExternalTexts) -> CheckedTexts:
    """Read and check everything. Raises UserError with every problem there is."""
    problems: list[str] = []
    lines, documents, device = list[Line](), list[Document](), torch.device("cpu")
    with collecting(problems):
        lines = read_lines(settings.texts)
    with collecting(problems), naming("--tokenizer"):
        tokenizer = load_tokenizer(settings.tokenizer)
    with collecting(problems):
        documents = training_documents(settings.training, settings.text_column)
    with collecting(problems):
        device = pick_device(settings.device)
    strings = by_condition(lines)
    if settings.mauve is not None:
        with collecting(problems):
            mauve_text()
        with collecting(problems):
            check_featuriser(settings.mauve)
        if lines and HUMAN not in strings:
            problems.append(
                f"--mauve {settings.mauve}: {settings.texts} holds no human text to compare with; add the field "
                'reference to its lines, or lines with "model": "human"'
            )
    if settings.coherence is not None:
        pairs = [pair for rows in with_context(strings).values() for pair in rows]
        with collecting(problems):
            check_scorer(settings.coherence, pairs, what="text", remedy="shorter texts")
        if lines and not pairs:
            problems.append(
                f"--coherence {settings.coherence}: no line of {settings.texts} has a context to follow from; add "
                "that field"
            )
    if problems:
        raise UserError(*problems)
    precision = pick_precision(settings.precision, device, evaluating=True)
    return CheckedTexts(lines=lines, tokenizer=tokenizer, documents=documents, device=device, precision=precision)


def plain_settings(settings: ExternalTexts, checked: CheckedTexts, lexicon: Lexicon | None) -> dict[str, Any]:
    """The settings as JSON holds them; device and precision only where a model has read the texts."""
    plain = {name: value and str(value) for name, value in asdict(settings).items()}
    plain["lexicon"] = lexicon and lexicon.language
    if settings.mauve is None and settings.coherence is None:
        return {name: value for name, value in plain.items() if name not in ("device", "precision")}
    return {**plain, "device": str(checked.device), "precision": checked.precision}


def training_documents(source: str | None, column: str | None) -> list[Document]:
    """What the texts may have been copied from: all of a source but what it sets apart. None without one.

    Of chats and prompts only what is learned: each reply, each completion.
    """
    documents = read_documents(source, column, flag="--training")[0] if source else []
    return [part for document in documents for part in learned_parts(document)]


def learned_parts(document: Document) -> list[Document]:
    """Each reply of a chat, the completion of a prompt, or the text as it is."""
    if document.messages:
        return [Document(document.messages[place].content, document.origin) for place in document.replies]
    return [document] if document.given is None else [Document(document.learned, document.origin)]


def continuation_ids(tokenizer: PreTrainedTokenizerBase, rows: Sequence[tuple[str, str]]) -> list[list[int]]:
    """The tokens of each text that reach past its context, special tokens left out."""
    special = set(tokenizer.all_special_ids)
    read = [tokens_and_start(tokenizer, context, text) for context, text in rows]
    return [[token for token in ids[start:] if token not in special] for ids, start in read]


def say_short(texts: Mapping[str, Sequence[Sequence[int]]]) -> None:
    """Say for how many texts the type-token ratio is undefined."""
    for name, rows in texts.items():
        if short := sum(len(tokens) < TTR_WINDOW for tokens in rows):
            say(f"{name}: {short} of {len(rows)} texts are shorter than {TTR_WINDOW} tokens and have no TTR")
