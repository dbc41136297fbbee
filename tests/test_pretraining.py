"""The scripts that made the embedded model, on small input."""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoModelForCausalLM, AutoTokenizer

from hyperfit.image.palette import load_palette
from hyperfit.image.shapes.scenes import pictures
from hyperfit.models.loading import load_model
from scripts import run_script

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "pretraining"))

from clean_texts import paragraphs  # noqa: E402
from pretrain_images import Settings, batch_of  # noqa: E402


def script(name: str, *arguments: object) -> str:
    return run_script(ROOT / "pretraining" / name, *arguments).out


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
    few = ("-o", run, "--pictures", 16, "--heldout", 8, "--batch", 8)
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


def test_a_folder_of_pictures_is_learnt_in_other_sizes(tmp_path: Path) -> None:
    for number, pixels in enumerate(pictures(range(20), 12)):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    Image.fromarray(pictures(range(1), 12)[0]).save(tmp_path / "again.png")
    sizes = ("--side", 8, "--colours", 16, "--blocks", 2, "--width", 24, "--heads", 3)
    few = ("--data", tmp_path, "--heldout", 4, *sizes, "--flips", "--passes", 1)
    told = script("pretrain_images.py", "-o", tmp_path / "run", "--pictures", 16, "--batch", 8, *few)
    summary = json.loads((tmp_path / "run/training.json").read_text())
    assert "21 made smaller" in told
    assert (summary["updates"], summary["settings"]["data"]) == (2, str(tmp_path))
    config = load_model(str(tmp_path / "run/model"), device=torch.device("cpu"), dtype=torch.float32).config
    assert (config.vocab_size, config.n_positions, config.n_layer, config.n_embd, config.n_head) == (17, 64, 2, 24, 3)


def test_cifar_is_split_by_class(tmp_path: Path) -> None:
    for part, count in (("train", 5), ("test", 2)):
        for kind in ("cat", "dog"):
            folder = tmp_path / "pictures" / part / kind
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number}.jpg").write_text(f"{part} {kind} {number}")
    script("split_cifar10.py", tmp_path / "pictures", "-o", tmp_path / "split", "--heldout", 2)
    found = {
        str(file.relative_to(tmp_path / "split")): file.read_text() for file in (tmp_path / "split").rglob("*.jpg")
    }
    assert found == {
        f"{folder}/{kind}/{number}.jpg": f"{part} {kind} {number}"
        for kind in ("cat", "dog")
        for folder, part, numbers in (
            ("fresh/heldout", "train", (0, 1)),
            ("seen", "train", (2, 3, 4)),
            ("fresh/train", "test", (0, 1)),
        )
        for number in numbers
    }


def test_each_pass_shows_every_picture_and_half_of_them_as_in_a_mirror() -> None:
    settings = Settings(pictures=400, passes=2, side=3, batch=40, flips=True)
    rows = torch.cat([torch.full((400, 1), 512), torch.arange(400 * 9).reshape(400, 9)], 1)
    first, second = (torch.cat([batch_of(rows, one, settings) for one in range(at, at + 10)]) for at in (0, 10))
    for shown in (first, second):
        assert (shown[:, 0] == 512).all()
        assert sorted((shown[:, 5] // 9).tolist()) == list(range(400))  # the pixel in the middle
        mirrored = shown[:, 1] > shown[:, 2]
        assert (shown[mirrored, 1:].reshape(-1, 3, 3).flip(2).flatten(1) == rows[shown[mirrored, 5] // 9, 1:]).all()
        assert 160 < mirrored.sum() < 240
    assert not torch.equal(first, second)
    assert torch.equal(rows[:, 1:].flatten(), torch.arange(400 * 9)), "the pictures themselves stay"
