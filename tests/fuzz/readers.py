"""Everything that reads a file of somebody else's: a whole file to damage, and what reads it."""

import hashlib
import io
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet
from PIL import Image

from fuzz.of_models import OF_MODELS
from fuzz.reader import Reader
from hyperfit.data.chats import passage_of
from hyperfit.data.reading.columns import TextColumn
from hyperfit.data.reading.sources import read_source
from hyperfit.evaluation.external_lines import read_lines
from hyperfit.image.reading.decode import Frame
from hyperfit.image.reading.sources import read_pictures
from hyperfit.mechanism.explain import read_mechanism
from hyperfit.mechanism.pair.inputs import Models
from hyperfit.prefer.judges.exchanges import ExchangeLog
from hyperfit.prefer.reading.files import read_judgements
from hyperfit.recipes.recipe import Recipe
from hyperfit.report.pages.completions import read_completions
from hyperfit.report.pages.run import read_evaluation
from hyperfit.report.pages.studies import PARTS, read_study
from hyperfit.report.pages.verdicts import facts, in_a_line
from hyperfit.report.texts.repetition import repeated_spans
from hyperfit.report.texts.samples import by_condition
from hyperfit.runs.directory import RunDir
from hyperfit.training.processes.launch import check_launch
from hyperfit.training.processes.zero3 import FILE, USE, asked_of_deepspeed
from made_runs import ENVIRONMENT
from simulated_studies import judgement
from tiny_chats import MARKED, chat_tokenizer
from tiny_images import stripes

FRAME = Frame(8, 8)
TEXTS = ["Two families shared a kitchen.", 'The ferry, "late" again; and', "Zoë's dog – 犬 – barked.\nTwice.", ""]


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def parquet(columns: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(stripes(1, 16)[0]).save(file, kind)
    return file.getvalue()


def arrays() -> bytes:
    file = io.BytesIO()
    np.savez(file, images=stripes(3))
    return file.getvalue()


def sheet() -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    rows = [asdict(judgement("a", 0, "first")), asdict(judgement("b", 1, "equal"))]
    for row in [list(rows[0]), *(["" if value is None else str(value) for value in row.values()] for row in rows)]:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def judgements() -> bytes:
    return lines([asdict(judgement(judge, context, "second")) for judge in "ab" for context in (0, 1)])


def texts_of(path: Path) -> Any:
    return read_source(str(path), TextColumn())


CHATS = [
    [{"role": "user", "content": "A goat?"}, {"role": "assistant", "content": "A map: “犬”."}],
    [{"role": role, "content": role * 3} for role in ("system", "user", "assistant", "user", "assistant")],
]


def passages_of(path: Path) -> Any:
    """The chats of a file, as the template in its folder, if there is one, writes them for a model."""
    tokenizer, template = chat_tokenizer(MARKED), path.parent / "chat_template.jinja"
    if template.exists():
        tokenizer.chat_template = template.read_text(encoding="utf-8", errors="replace")
    return [passage_of(chat, tokenizer) for chat in texts_of(path).train]


def chats_beside(folder: Path) -> None:
    (folder / "chats.jsonl").write_bytes(lines([{"messages": chat} for chat in CHATS]))


def pictures_of(path: Path) -> Any:
    return read_pictures(str(path), FRAME)


def recipe() -> bytes:
    return json.dumps(Recipe(model="m", data="d", blocks=(0, 1), method="lora").to_dict()).encode()


def run_of(path: Path) -> Any:
    run = RunDir.open(path.parent)
    return run.recipe, run.events(), run.end


def events() -> bytes:
    begin: dict[str, Any] = {"event": "epoch", "epoch": 0, "step": 0, "train_loss": None, "ttr": 0.2, "sample": "a"}
    return lines(
        [begin, {**begin, "epoch": 1, "train_loss": 0.5}, {"event": "end", "reason": "loss", "epoch": 1, "step": 4}]
    )


def environment_of(path: Path) -> Any:
    """What a report says of it."""
    found = RunDir.open(path.parent).environment
    recipes = [Recipe(model="m", data="d", lr=1e-4, method=method) for method in ("late-lora", "full")]
    return [(facts(recipe, found), in_a_line(recipe, found)) for recipe in recipes]


def whole_environment() -> dict[str, Any]:
    more = {"weights_fingerprint": "0123abcd", "picture": [8, 8], "prefix_cache": {"seconds": 0.5}, "device": "cpu"}
    return {**ENVIRONMENT, **more, "validation_sequences": 3}


def deepspeed() -> bytes:
    zero = {"stage": 3, "offload_optimizer": {"device": "none"}, "offload_param": {"device": "none"}}
    more = {"gradient_clipping": "auto", "gradient_accumulation_steps": 1, "optimizer": {}, "fp16": {"enabled": False}}
    return json.dumps({"zero_optimization": zero, **more}).encode()


def launch_of(path: Path) -> Any:
    """A launch by DeepSpeed that this file configures."""
    with patch.dict(os.environ, {USE: "true", FILE: str(path)}):
        check_launch()
        return asked_of_deepspeed()


def run_beside(folder: Path) -> None:
    if not (folder / "recipe.json").exists():
        (folder / "recipe.json").write_bytes(recipe())


def evaluation() -> bytes:
    known = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 12}
    conditions = {"base/greedy": {"ttr": known}, "hyperfitted/greedy": {"ttr": known}, "human": {"ttr": known}}
    return json.dumps({"conditions": conditions, "models": {}, "differences": {}, "settings": {"total": 128}}).encode()


def samples_of(path: Path) -> Any:
    found = by_condition(path.parent.parent)
    return [repeated_spans(row["continuation"]) for rows in found.values() for row in rows if row["context"]]


def own_lines() -> bytes:
    row = {"context": "a", "continuation": "b", "source": "", "model": "base", "decoding": "greedy"}
    return lines([row, {**row, "continuation": "c"}])


def checkpoint_beside(folder: Path) -> None:
    """A run of which the file is one of the newest checkpoint, whose checksums say whether it is whole."""
    run_beside(folder)
    (folder / "events.jsonl").write_bytes(b"")
    newest = folder / "checkpoints" / "update-00000004"
    newest.mkdir(parents=True, exist_ok=True)
    (newest / "state.safetensors").write_bytes(b"weights")
    (newest / "place.json").write_bytes(b'{"epoch": 1, "update": 4, "events_size": 0}')
    (newest / "sha256.json").write_bytes((folder / "sha256.json").read_bytes())


def sums() -> bytes:
    contents = {"state.safetensors": b"weights", "place.json": b'{"epoch": 1, "update": 4, "events_size": 0}'}
    return json.dumps({name: hashlib.sha256(of).hexdigest() for name, of in contents.items()}).encode()


def checkpoint_of(path: Path) -> Any:
    """The place reached, and nothing but what was written."""
    found = RunDir(path.parent).newest_checkpoint(lambda line: None)
    assert found is not None
    assert found.place == {"epoch": 1, "update": 4, "events_size": 0}
    return found


def completions() -> bytes:
    known = {"colour_ttr": {"value": 0.5, "low": 0.4, "high": None, "n": 12}}
    found = {"conditions": {"base/greedy": known}, "comparisons": {}, "likelihoods": known}
    return json.dumps(found).encode()


def beside_completions(folder: Path) -> None:
    (folder / "completions.png").write_bytes(b"")


def explanation() -> bytes:
    made = {"made_with": {"hyperfit": "0"}, "made_on": {"device": "cpu"}}
    return json.dumps({"studies": {"ranks": made, "bias": {**made, "curves": {}}}}).encode()


def exchanges() -> bytes:
    row = {"key": "k", "request": {}, "status": 200, "reply": {"usage": {"prompt_tokens": 3}}, "seconds": 0.5}
    return lines([{**row, "choices": {"a": "first"}}, {**row, "key": "l", "choices": {}}])


READERS = {
    "text": Reader("a.txt", lambda: "\n\n".join(TEXTS).encode(), texts_of),
    "lines": Reader("a.jsonl", lambda: lines([{"text": text, "n": 1} for text in TEXTS]), texts_of),
    "table": Reader("a.csv", lambda: b'text,n\n"One, two",1\nThree,2\n"Four ""5""",3\n', texts_of),
    "parquet": Reader("a.parquet", lambda: parquet({"text": TEXTS, "n": [1, 2, 3, 4]}), texts_of),
    "chats": Reader("a.jsonl", lambda: lines([{"messages": chat} for chat in CHATS]), passages_of),
    "chats in parquet": Reader("a.parquet", lambda: parquet({"messages": CHATS}), passages_of),
    "chat template": Reader(
        "chat_template.jinja", MARKED.encode, lambda path: passages_of(path.parent / "chats.jsonl"), chats_beside
    ),
    "png": Reader("a.png", lambda: encoded("png"), pictures_of),
    "jpeg": Reader("a.jpg", lambda: encoded("jpeg"), pictures_of),
    "arrays": Reader("a.npz", arrays, pictures_of),
    "pictures in parquet": Reader(
        "a.parquet", lambda: parquet({"image": [{"bytes": encoded("png"), "path": "x"}] * 2}), pictures_of
    ),
    "texts from elsewhere": Reader(
        "a.jsonl",
        lambda: lines(
            [{"context": "a", "continuation": text or "b", "model": "x", "reference": "c"} for text in TEXTS]
        ),
        read_lines,
    ),
    "judgements": Reader("a.jsonl", judgements, lambda path: read_judgements([path])),
    "spreadsheet": Reader("a.xlsx", sheet, lambda path: read_judgements([path])),
    **OF_MODELS,
    "recipe": Reader("recipe.json", recipe, run_of),
    "environment": Reader(
        "environment.json", lambda: json.dumps(whole_environment()).encode(), environment_of, run_beside
    ),
    "deepspeed": Reader("ds.json", deepspeed, launch_of),
    "events": Reader("events.jsonl", events, run_of, run_beside),
    "evaluation": Reader("evaluation.json", evaluation, lambda path: read_evaluation(path.parent)),
    "samples": Reader("samples/base-greedy.jsonl", own_lines, samples_of),
    "checkpoint": Reader("sha256.json", sums, checkpoint_of, checkpoint_beside),
    "completions": Reader(
        "completions.json",
        completions,
        lambda path: read_completions(path.parent),
        beside_completions,
    ),
    "explanation": Reader(
        "mechanism.json", explanation, lambda path: read_mechanism(Models(base="a", tuned="b", output=path.parent))
    ),
    "study": Reader("main.json", lambda: json.dumps(dict.fromkeys(PARTS, "a")).encode(), read_study),
    "exchanges": Reader("a.exchanges.jsonl", exchanges, lambda path: ExchangeLog(path).answered()),
}
