"""Pre-train a small base model of pictures: on a folder of them, or on those that hyperfit draws itself.

    python pretraining/pretrain_images.py -o RUN --pictures 40000 --passes 4
    python pretraining/pretrain_images.py -o RUN --pictures 40000 --passes 8 --resume
    python pretraining/pretrain_images.py -o RUN --data photos --flips --colours 512 --width 256 --heads 4

The pictures (drawn ones are ``builtin:shapes``, other numbers) are read and the colours of the tokens chosen first
(k-means over their pixels), then an ImageGPT is trained: matrices by Muon, embeddings and norms by AdamW, the learning
rate constant and then linear to zero, dropout off. On a GPU if there is one, else on the CPU, under bf16 autocast over
fp32 weights.

RUN/model is the result in Hugging Face format (bf16 safetensors, and the image processor), RUN/log.jsonl the loss
curve, RUN/training.json what was seen and the held-out loss. RUN/state.pt continues a stopped run; one made before the
learning rate fell (--passes larger than before) continues with more passes.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from kept import EVERY_MINUTES, Kept, Log, open_run
from scipy.cluster.vq import kmeans2
from transformers import ImageGPTConfig, ImageGPTForCausalImageModeling
from transformers.models.imagegpt.image_processing_pil_imagegpt import ImageGPTImageProcessorPil

from hyperfit.image.palette import Palette
from hyperfit.image.reading.decode import Frame
from hyperfit.image.reading.sources import read_pictures
from hyperfit.image.sequences import unique
from hyperfit.image.shapes.scenes import pictures

FIRST = 1_000_000
"""Number of the first picture that is drawn; those of ``builtin:shapes`` are far below."""
SAMPLED = 60_000
"""Pixels of which the colours are the clusters."""

SIZES = {
    "side": "pixels along a side of a picture",
    "colours": "that a pixel may have",
    "blocks": "of the model",
    "width": "of its hidden states",
    "heads": "of its attention",
    "batch": "pictures per update",
}
"""Settings of the model and its updates that are flags, too → what they mean."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What defines a run; a resumed run must agree on all but ``passes``."""

    data: str | None = None
    """A folder of pictures. None: they are drawn."""
    pictures: int
    """To train on."""
    passes: float
    """Over these pictures, in all; the learning rate falls over the last ``decay`` of them."""
    heldout: int = 512
    side: int = 16
    flips: bool = False
    """Show every other picture, at random, as in a mirror."""
    colours: int = 128
    blocks: int = 8
    width: int = 192
    heads: int = 6
    batch: int = 32
    """Pictures per update."""
    muon_lr: float = 0.02
    adam_lr: float = 0.003
    warmup: int = 100
    """Updates over which the learning rate rises from zero."""
    decay: float = 0.3
    seed: int = 1


def of_folder(folder: str, settings: Settings) -> np.ndarray:
    """uint8[pictures, side, side, 3], each once, in random order."""
    source = read_pictures(folder, Frame(settings.side, settings.side), skip=True)
    for note in source.notes:
        print(note, flush=True)
    found = unique(source.train)
    return found.pixels[np.random.default_rng(settings.seed).permutation(len(found))]


def kept_pictures(run: Path, settings: Settings) -> np.ndarray:
    """uint8[held out and training pictures, side, side, 3], read or drawn the first time and then kept."""
    file = run / "pictures.npy"
    if not file.exists():
        count = settings.heldout + settings.pictures
        if settings.data is None:
            made = pictures(range(FIRST, FIRST + count), settings.side)
        else:
            made = of_folder(settings.data, settings)
            if len(made) < count:
                raise SystemExit(f"--data {settings.data}: has {len(made)} pictures, but {count} are to be used")
            made = made[:count]
        part = file.with_suffix(".part.npy")
        np.save(part, made)
        part.replace(file)
    kept: np.ndarray = np.load(file)
    return kept


def palette_of(seen: np.ndarray, settings: Settings) -> Palette:
    """The colours that are nearest, together, to a sample of all pixels."""
    draw = np.random.default_rng(settings.seed)
    pixels = seen.reshape(-1, 3)
    sample = pixels[draw.integers(len(pixels), size=SAMPLED)] / 127.5 - 1
    clusters, _ = kmeans2(sample, settings.colours, minit="++", rng=draw, iter=20)
    size = {"height": settings.side, "width": settings.side}
    processor = ImageGPTImageProcessorPil(clusters=np.round(clusters, 4).tolist(), size=size)
    return Palette(processor, settings.colours)


def build(settings: Settings) -> ImageGPTForCausalImageModeling:
    torch.manual_seed(settings.seed)
    config = ImageGPTConfig(
        vocab_size=settings.colours + 1,
        n_positions=settings.side**2,
        n_embd=settings.width,
        n_layer=settings.blocks,
        n_head=settings.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    return ImageGPTForCausalImageModeling(config)


def optimizers(model: torch.nn.Module, settings: Settings) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and ".h." in name]
    rest = [p for name, p in model.named_parameters() if p.ndim < 2 or ".h." not in name]
    muon = torch.optim.Muon(matrices, lr=settings.muon_lr, weight_decay=0.01)
    adam = torch.optim.AdamW(rest, lr=settings.adam_lr, betas=(0.9, 0.95), weight_decay=0.0)
    return [muon, adam]


def learning_rate(update: int, updates: int, settings: Settings) -> float:
    """Factor of the full learning rate: linear warm-up, constant, linear to zero."""
    left = (updates - update) / (settings.decay * updates)
    return max(0.0, min(1.0, (update + 1) / settings.warmup, left))


def loss_of(model: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Nats per pixel of int64[pictures, length]: every pixel from those before it."""
    with torch.autocast(rows.device.type, torch.bfloat16):
        logits = model(rows[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())


def heldout_loss(model: torch.nn.Module, rows: torch.Tensor, device: str) -> float:
    with torch.no_grad():
        total = sum(loss_of(model, batch.to(device)).item() * len(batch) for batch in rows.split(64))
    return total / len(rows)


def batch_of(rows: torch.Tensor, update: int, settings: Settings) -> torch.Tensor:
    """The pictures of an update: each pass has an order, and mirrors, of its own."""
    each = len(rows) // settings.batch
    draw = np.random.default_rng([settings.seed, update // each])
    order = draw.permutation(len(rows))
    start = update % each * settings.batch
    chosen = order[start : start + settings.batch]
    some = rows[chosen]
    if settings.flips:
        mirrored = torch.from_numpy(draw.random(len(rows))[chosen] < 0.5)
        some[mirrored, 1:] = some[mirrored, 1:].unflatten(1, (settings.side, settings.side)).flip(2).flatten(1)
    return some


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--data", help="folder of pictures to train on; without it they are drawn")
    parser.add_argument("--pictures", type=int, default=40_000, help="pictures to train on (default 40,000)")
    parser.add_argument("--passes", type=float, default=4, help="over these pictures, in all (default 4)")
    parser.add_argument("--heldout", type=int, default=Settings.heldout, help="pictures that are never trained on")
    parser.add_argument("--flips", action="store_true", help="show half of the pictures as in a mirror")
    for name, what in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=getattr(Settings, name), help=what)
    parser.add_argument("--checkpoint-minutes", type=float, default=EVERY_MINUTES)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    given = {field.name: getattr(options, field.name) for field in fields(Settings) if hasattr(options, field.name)}
    settings = Settings(**given)
    if settings.pictures < settings.batch:
        raise SystemExit(f"--pictures {settings.pictures}: give {settings.batch} or more, which one update takes")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    run: Path = options.output
    open_run(run, resume=options.resume)
    seen = kept_pictures(run, settings)
    palette = palette_of(seen, settings)
    rows = palette.tokens(seen)
    held, train = rows[: settings.heldout], rows[settings.heldout :]

    model = build(settings)
    module: torch.nn.Module = model
    module.to(device)
    optims = optimizers(module, settings)
    updates = round(settings.passes * (len(train) // settings.batch))
    update, seconds = 0, 0.0
    kept = Kept(run, asdict(settings), "passes", module, optims, options.checkpoint_minutes)
    if options.resume:
        update, seconds = kept.restore(device)

    @torch.compile
    def compiled(batch: torch.Tensor) -> torch.Tensor:
        return loss_of(module, batch)

    log = Log(run, update)
    mark = time.monotonic()
    while update < updates:
        factor = learning_rate(update, updates, settings)
        for optim, full in zip(optims, (settings.muon_lr, settings.adam_lr), strict=True):
            optim.param_groups[0]["lr"] = full * factor
        loss = compiled(batch_of(train, update, settings).to(device))
        loss.backward()
        for optim in optims:
            optim.step()
            optim.zero_grad()
        update += 1
        if update % 50 == 0:
            seconds, mark = seconds + time.monotonic() - mark, time.monotonic()
            entry: dict[str, Any] = {
                "update": update,
                "of": updates,
                "loss": round(loss.item(), 4),
                "lr": round(factor, 4),
                "seconds": round(seconds),
            }
            if update % 500 == 0:
                entry["heldout"] = round(heldout_loss(module, held, device), 4)
            log.add(entry)
        kept.save_now_and_then((update, seconds))
    kept.save((update, seconds))

    module.to(torch.bfloat16)  # what is saved is what is scored
    summary = {
        "settings": asdict(settings),
        "parameters": model.num_parameters(),
        "updates": update,
        "seconds": round(seconds),
        "device": torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        **({} if settings.data else {"numbers": [FIRST, FIRST + len(rows)]}),
        "heldout_nats_per_pixel": round(heldout_loss(module, held, device), 4),
    }
    model.save_pretrained(run / "model")
    palette.save_pretrained(run / "model")
    (run / "training.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
