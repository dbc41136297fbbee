"""The scripts that made the embedded model, on small input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from hyperfit.image.palette import load_palette
from hyperfit.image.shapes.scenes import pictures
from hyperfit.models.loading import load_model

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "pretraining"))

from clean_texts import paragraphs  # noqa: E402


def script(name: str, *arguments: object) -> str:
    command = [sys.executable, str(ROOT / "pretraining" / name), *map(str, arguments)]
    environment = {**os.environ, "TORCHDYNAMO_DISABLE": "1"}  # no compiler needed
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_hard_wrapped_lines_become_paragraphs() -> None:
    wrapped = (
        "It was a long and rather tedious walk from the station to the\r\n"
        "house, and nobody had thought of sending the cart for her box.\r\n"
        "She sat down.\r\n"
        "\u201cWell,\u201d said the porter, who had been watching all the while, \u201cyou\r\n"
        "might have asked.\u201d\r\n"
        "\r\n"
        "The next train came at six, and it was full of soldiers going\r\n"
        "home.\r\n"
    )
    assert paragraphs(wrapped) == [
        "It was a long and rather tedious walk from the station to the house, and nobody had thought of sending the "
        "cart for her box. She sat down.",
        '"Well," said the porter, who had been watching all the while, "you might have asked."',
        "The next train came at six, and it was full of soldiers going home.",
    ]


def test_lines_that_are_paragraphs_stay_so() -> None:
    long = "word " * 40
    assert paragraphs(f"{long}\n{long}\n\n{long}") == [long.strip()] * 3
    assert paragraphs(" \n\n") == []


def test_pretrains_and_resumes(tmp_path: Path) -> None:
    rows = [{"text": path.read_text()} for path in sorted((ROOT / "src/hyperfit/data/texts/wiki").rglob("*.txt"))]
    joined = [{"text": "\n\n".join(row["text"] for row in rows[start : start + 4])} for start in range(0, 24, 4)]
    (tmp_path / "wiki.jsonl").write_text("".join(json.dumps(row) + "\n" for row in joined))
    script("clean_texts.py", tmp_path / "wiki.jsonl", "-o", tmp_path / "texts")
    run = tmp_path / "run"
    script("pretrain.py", tmp_path / "texts", "-o", run, "--tokens", 1024, "--batch", 2)
    first = json.loads((run / "training.json").read_text())
    script("pretrain.py", tmp_path / "texts", "-o", run, "--tokens", 2048, "--batch", 2, "--resume")
    second = json.loads((run / "training.json").read_text())
    assert (first["training_tokens"], second["training_tokens"]) == (1024, 2048)
    assert second["heldout_documents"] == first["heldout_documents"]
    assert 0 < second["heldout_bits_per_byte"]["wiki"] < 8
    model = AutoModelForCausalLM.from_pretrained(run / "model")
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    assert model.dtype == torch.bfloat16
    assert model.config.num_hidden_layers >= 12
    ids = tokenizer("An old bridge, \u00e9t\u00e9 and all.", return_tensors="pt")["input_ids"]
    assert ids[0, 0] == model.config.bos_token_id
    assert tokenizer.decode(ids[0], skip_special_tokens=True) == "An old bridge, \u00e9t\u00e9 and all."
    assert torch.isfinite(model(ids).logits).all()


def test_a_model_of_pictures_is_pretrained_and_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    few = ("-o", run, "--pictures", 64, "--heldout", 8)
    script("pretrain_images.py", *few, "--passes", 1)
    first = json.loads((run / "training.json").read_text())
    script("pretrain_images.py", *few, "--passes", 2, "--resume")
    second = json.loads((run / "training.json").read_text())
    assert (first["updates"], second["updates"]) == (2, 4)
    assert second["heldout_nats_per_pixel"] < first["heldout_nats_per_pixel"] < 6
    assert sum(file.stat().st_size for file in (run / "model").iterdir()) < 8 * 2**20
    palette, some = load_palette(str(run / "model")), pictures(range(1, 4), 16)
    rows = palette.tokens(some)
    assert rows.shape == (3, 257)
    assert abs(palette.pixels(rows).astype(int) - some).mean() < 30, "its colours are those of such pictures"
    model = load_model(str(run / "model"), device=torch.device("cpu"), dtype=torch.float32)
    with torch.no_grad():
        assert torch.isfinite(model(rows[:, :-1]).logits).all()
