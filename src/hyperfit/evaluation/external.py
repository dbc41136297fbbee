"""Texts that came from elsewhere, measured as those of our own models are."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from hyperfit.console import say
from hyperfit.data.corpus import tokenize
from hyperfit.data.sources import Document, read_documents
from hyperfit.errors import UserError, collecting
from hyperfit.metrics.by_model.coherence import tokens_and_start
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.score import copies, score
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.metrics.text.words import NO_LEXICON, lexicon_of
from hyperfit.models.loading import load_tokenizer

COLUMNS = ("context", "continuation", "reference", "model", "decoding")
"""What a line may hold; other fields are left unread."""
HUMAN = "human"


@dataclass(frozen=True)
class Line:
    """One generated text."""

    context: str
    continuation: str
    reference: str | None
    """What a human wrote after the same context."""
    condition: str
    """MODEL/DECODING, or what of the two the line names; else "texts"."""


@dataclass(frozen=True, kw_only=True)
class ExternalTexts:
    """What is measured, and how it is read."""

    texts: Path
    """A .jsonl file, one object a line: continuation, and, if it has them, context, reference, model, decoding."""
    tokenizer: str = "builtin:tiny"
    """The model whose tokens are counted."""
    training: str | None = None
    """Texts that the generator was trained on."""


def evaluate_texts(settings: ExternalTexts) -> dict[str, Any]:
    """Measure the texts of a .jsonl file under one tokenizer; ``settings``, ``conditions`` and ``copies``.

    These are as in evaluation.json. The references are the condition ``human``, each once, however many
    generators continue its context. Measures of memorisation and ``copies`` only with training data.
    A continuation is measured on the tokens that reach past its context when both are read as one.
    Raises UserError with every problem.
    """
    problems: list[str] = []
    lines, documents = list[Line](), list[Document]()
    with collecting(problems):
        lines = read_lines(settings.texts)
    with collecting(problems):
        tokenizer = load_tokenizer(settings.tokenizer)
    with collecting(problems):
        documents = training_documents(settings.training)
    if problems:
        raise UserError(*problems)
    strings = by_condition(lines)
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
    results: dict[str, Any] = {
        "settings": {
            **{name: value and str(value) for name, value in asdict(settings).items()},
            "lexicon": lexicon and lexicon.language,
        },
        "conditions": {name: one.summary() for name, one in scores.items()},
    }
    if training is not None and index is not None:
        names = [document.origin.rpartition("/")[2] for document in documents]
        results["copies"] = copies(
            texts, index, training, lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=True)), names
        )
    say_short(texts)
    return results


def read_lines(path: Path) -> list[Line]:
    """The texts of a file. Raises UserError with each bad line, by its number."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UserError(f"--texts {path}: cannot be read ({reason}); give a .jsonl file") from error
    lines, problems = list[Line](), list[str]()
    for number, written in enumerate(content.split("\n"), start=1):
        if written.strip():
            with collecting(problems):
                lines.append(read_line(written, f"--texts {path}, line {number}"))
    if not lines and not problems:
        problems.append(f"--texts {path}: holds no line; give one object a line with the field continuation")
    if problems:
        raise UserError(*problems)
    return lines


def read_line(written: str, where: str) -> Line:
    """One line. Raises UserError with all that is wrong with it, ``where`` in front."""
    try:
        row = json.loads(written)
        json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but not text
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: cannot be read as JSON ({error}); mend or remove it") from error
    if not isinstance(row, dict):
        raise UserError(f"{where}: is not an object with named fields; mend or remove it")
    problems = [
        f"{where}: {name} is {json.dumps(row[name], ensure_ascii=False)[:40]}, not text; write it in quotes"
        for name in COLUMNS
        if row.get(name) is not None and not isinstance(row[name], str)
    ]
    if row.get("continuation") is None:
        problems.append(f"{where}: has no continuation; add that field, or remove the line")
    condition = "/".join(row[name] for name in ("model", "decoding") if isinstance(row.get(name), str) and row[name])
    problems += [
        f"{where}: {name} holds characters that cannot be shown; write its name in letters"
        for name in ("model", "decoding")
        if isinstance(row.get(name), str) and not row[name].isprintable()
    ]
    if problems:
        raise UserError(*problems)
    return Line(row.get("context") or "", row["continuation"], row.get("reference"), condition or "texts")


def training_documents(source: str | None) -> list[Document]:
    """What the texts may have been copied from: all of a source but what it sets apart. None without one."""
    return read_documents(source, flag="--training")[0] if source else []


def by_condition(lines: Sequence[Line]) -> dict[str, list[tuple[str, str]]]:
    """Condition → (context, text) of its lines; last the references, each once, and lines whose model is "human"."""
    found: dict[str, list[tuple[str, str]]] = {line.condition: [] for line in lines}
    for line in lines:
        found[line.condition].append((line.context, line.continuation))
    references = dict.fromkeys(found.pop(HUMAN, [])) | dict.fromkeys(
        (line.context, line.reference) for line in lines if line.reference is not None
    )
    return found | ({HUMAN: [(context, text) for context, text in references]} if references else {})


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
