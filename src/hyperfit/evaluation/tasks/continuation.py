"""A multiple-choice task that needs no network: which of four continuations of one embedded text is the real one."""

import json
from pathlib import Path
from typing import Any

from hyperfit.data.builtin import PREFIX, TEXTS, text_source
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.sources import read_documents
from hyperfit.evaluation.settings import CONTINUATION
from hyperfit.runs.files import writing

NAME = CONTINUATION
CHOICES = 4
CONTEXT_WORDS, NEXT_WORDS = 24, 12
"""Words of each."""


def examples() -> list[dict[str, Any]]:
    """``context``, ``choices`` and ``answer`` of every example, four of each held-out embedded text.

    A text is cut into four equal parts. The first 24 words of each are a context, the next 12 how it goes on, and the
    four continuations are the choices of all four contexts. So the wrong ones share names, matter and style with the
    right one, and a model that looks at the choices alone is right in exactly one of four. The four of a text are not
    independent of each other, which intervals over examples do not know. The first example of each
    text comes first, of the three kinds in turn, for a limit to leave a fair part; the answer's place goes round.
    """
    kinds = [[one.text.split() for one in heldout(kind)] for kind in TEXTS]
    texts = [text for several in zip(*kinds, strict=True) for text in several]
    found = []
    for part in range(CHOICES):
        for number, words in enumerate(texts):
            starts = [len(words) * place // CHOICES for place in range(CHOICES)]
            pieces = [
                (" ".join(words[at : at + CONTEXT_WORDS]), " ".join(words[at + CONTEXT_WORDS :][:NEXT_WORDS]))
                for at in starts
            ]
            turned = [pieces[(place + number) % CHOICES][1] for place in range(CHOICES)]
            answer = (part - number) % CHOICES
            found.append({"context": pieces[part][0], "choices": turned, "answer": answer})
    return found


def heldout(kind: str) -> list[Document]:
    """The embedded texts of a kind that none trains on."""
    return read_documents(text_source(PREFIX + kind), notify=lambda line: None)[1]


def write_continuation(folder: Path) -> Path:
    """Write the task into a folder, as the harness reads it (``--tasks PATH``, ``lm_eval --include_path``); its YAML.

    What is there already and the same is left as it is.
    """
    folder = folder.resolve()
    data, task = folder / "continuation.jsonl", folder / "continuation.yaml"
    lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in examples()]
    config = {
        "task": NAME,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(folder / ".cache")},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "context",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "target_delimiter": " ",
        "metric_list": [
            {"metric": measure, "aggregation": "mean", "higher_is_better": True} for measure in ("acc", "acc_norm")
        ],
        "num_fewshot": 0,
        "metadata": {"version": 1.0},
    }
    for file, content in ((data, "".join(lines)), (task, json.dumps(config, indent=1) + "\n")):  # JSON is YAML
        if not file.is_file() or file.read_text(encoding="utf-8") != content:
            folder.mkdir(parents=True, exist_ok=True)
            with writing(file) as aside:
                aside.write_text(content, encoding="utf-8")
    return task
