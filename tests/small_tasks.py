"""A folder of three small tasks as lm-eval reads them: which word is next, what is written, how likely a text is."""

import json
from pathlib import Path
from typing import Any

QUESTIONS = [
    {"question": question, "choices": list(choices), "answer": answer, "said": said}
    for question, choices, answer, said in (
        ("the river", ("stone", "bread", "salt"), 0, "a"),
        ("a winter", ("horse", "letter", "engine"), 1, "b"),
        ("my garden", ("ladder", "music", "paper"), 2, "c"),
        ("his copper", ("window", "harbour", "stone"), 0, "d"),
        ("her letter", ("salt", "river", "bread"), 1, "e"),
    )
]
CHOICE: dict[str, Any] = {
    "task": "next_word", "output_type": "multiple_choice", "doc_to_text": "{{question}}", "doc_to_choice": "choices",
    "doc_to_target": "answer", "metric_list": [{"metric": "acc"}],
}  # fmt: skip
WRITE: dict[str, Any] = {
    "task": "write", "output_type": "generate_until", "doc_to_text": "{{question}}", "doc_to_target": "{{said}}",
    "generation_kwargs": {"max_gen_toks": 4, "until": ["\n\n"]}, "metric_list": [{"metric": "exact_match"}],
}  # fmt: skip
READ: dict[str, Any] = {
    "task": "read", "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{question}}",
    "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
}  # fmt: skip


def write_tasks(folder: Path, *tasks: dict[str, Any], rows: list[dict[str, Any]] = QUESTIONS) -> Path:
    """The folder, with a YAML file for each task and the questions of all; nothing of it is cached elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "questions.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    place = {"data_files": {"test": str(data)}, "cache_dir": str(folder / ".cache")}
    for task in tasks or (CHOICE, WRITE, READ):
        known = {"dataset_path": "json", "dataset_kwargs": place, "test_split": "test", "metadata": {"version": 1}}
        (folder / f"{task['task']}.yaml").write_text(json.dumps({**known, **task}))
    return folder
