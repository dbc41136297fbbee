"""Pre-train the small base model that hyperfit ships as ``builtin:tiny``.

    python pretraining/pretrain.py TEXTS -o RUN --tokens 20e6
    python pretraining/pretrain.py TEXTS -o RUN --tokens 20e6 --resume

TEXTS is a folder of .txt files, one document each; its subfolders are the kinds of text, and two per
cent of each kind are held out. A byte-level BPE tokenizer is trained first, then a Llama-architecture
model: matrices by Muon, embedding and norms by AdamW, the learning rate constant and then linear to
zero. On a GPU if there is one, else on the CPU, under bf16 autocast over fp32 weights.

RUN/model is the result in Hugging Face format (bf16 safetensors), RUN/log.jsonl the loss curve,
RUN/training.json what was seen and the held-out loss. RUN/state.pt continues a stopped run; one made
before the learning rate fell (--tokens larger than before) continues with more text.
"""

import argparse
import json
import math
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from kept import EVERY_MINUTES, Kept, Log, open_run
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BOS, PAD = "<|endoftext|>", "<|pad|>"
BOS_ID, PAD_ID = 0, 1


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What defines a run; a resumed run must agree on all but ``tokens``."""

    tokens: int
    """Training tokens in all; the learning rate falls over the last ``decay`` of them."""
    vocabulary: int = 8192
    blocks: int = 12
    width: int = 256
    inner: int = 704
    heads: int = 4
    length: int = 512
    """Tokens of a window, and the longest context the model will know."""
    batch: int = 16
    """Windows per update."""
    muon_lr: float = 0.02
    adam_lr: float = 0.003
    warmup: int = 100
    """Updates over which the learning rate rises from zero."""
    decay: float = 0.3
    heldout: float = 0.02
    """Share of the documents of each kind that is never trained on."""
    seed: int = 1


def split(texts: Path, settings: Settings) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Documents by kind: those to train on, and those held out."""
    train: dict[str, list[Path]] = {}
    heldout: dict[str, list[Path]] = {}
    for path in sorted(texts.rglob("*.txt")):
        train.setdefault(path.parent.name, []).append(path)
    for kind, paths in train.items():
        random.Random(settings.seed).shuffle(paths)
        count = max(1, round(settings.heldout * len(paths)))
        heldout[kind], train[kind] = paths[:count], paths[count:]
    return train, heldout


def train_tokenizer(train: dict[str, list[Path]], size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE; every text starts with BOS, as every training window does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[BOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(path) for paths in train.values() for path in paths], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, BOS_ID)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=BOS, pad_token=PAD)


def token_stream(tokenizer: PreTrainedTokenizerFast, paths: list[Path]) -> np.ndarray:
    """All documents one after another, uint16, each behind a BOS."""
    parts = [np.array(tokenizer(path.read_text(encoding="utf-8").strip())["input_ids"], np.uint16) for path in paths]
    return np.concatenate(parts)


def windows(stream: np.ndarray, settings: Settings, epoch: int) -> torch.Tensor:
    """One pass over the stream: int64[windows, length], each behind a BOS, in an order of the epoch's own."""
    order = np.random.default_rng([settings.seed, epoch])
    body = settings.length - 1
    start = int(order.integers(body))
    count = (len(stream) - start) // body
    rows = stream[start : start + count * body].reshape(count, body)[order.permutation(count)]
    return torch.from_numpy(np.concatenate([np.full((count, 1), BOS_ID), rows], axis=1).astype(np.int64))


def learning_rate(seen: int, update: int, settings: Settings) -> float:
    """Factor of the full learning rate: linear warm-up, constant, linear to zero."""
    left = (settings.tokens - seen) / (settings.decay * settings.tokens)
    return max(0.0, min(1.0, (update + 1) / settings.warmup, left))


def build(settings: Settings) -> LlamaForCausalLM:
    torch.manual_seed(settings.seed)
    config = LlamaConfig(
        vocab_size=settings.vocabulary,
        hidden_size=settings.width,
        intermediate_size=settings.inner,
        num_hidden_layers=settings.blocks,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=settings.length,
        tie_word_embeddings=True,
        bos_token_id=BOS_ID,
        eos_token_id=BOS_ID,
        pad_token_id=PAD_ID,
    )
    return LlamaForCausalLM(config)


def optimizers(model: LlamaForCausalLM, settings: Settings) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim < 2 or "embed" in name]
    muon = torch.optim.Muon(matrices, lr=settings.muon_lr, weight_decay=0.01)
    adam = torch.optim.AdamW(rest, lr=settings.adam_lr, betas=(0.9, 0.95), weight_decay=0.0)
    return [muon, adam]


def heldout_bits(
    model: LlamaForCausalLM, stream: np.ndarray, size: int, limit: int, device: str
) -> tuple[float, float]:
    """(nats per token, bits per byte) over the first ``limit`` windows; ``size``: UTF-8 bytes of the whole stream."""
    length = model.config.max_position_embeddings
    body = length - 1
    count = min(limit, len(stream) // body)
    rows = torch.from_numpy(stream[: count * body].astype(np.int64)).view(count, body)
    bos = torch.full((count, 1), BOS_ID)
    total = 0.0
    with torch.no_grad(), torch.autocast(device, torch.bfloat16):
        for batch in torch.cat([bos, rows], dim=1).split(16):
            batch = batch.to(device)
            logits = model(batch, use_cache=False).logits[:, :-1].float()
            total += F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum").item()
    nats = total / (count * body)
    return nats, nats / math.log(2) * len(stream) / size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--tokens", type=float, default=20e6, help="training tokens in all (default 20e6)")
    parser.add_argument("--batch", type=int, default=Settings.batch, help="windows per update")
    parser.add_argument("--checkpoint-minutes", type=float, default=EVERY_MINUTES)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    settings = Settings(tokens=int(options.tokens), batch=options.batch)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    run: Path = options.output
    open_run(run, resume=options.resume)

    train, heldout = split(options.texts, settings)
    if (run / "tokenizer").exists():
        tokenizer = PreTrainedTokenizerFast.from_pretrained(run / "tokenizer")
    else:
        tokenizer = train_tokenizer(train, settings.vocabulary)
        tokenizer.save_pretrained(run / "tokenizer")
    if not (run / "stream.npy").exists():
        np.save(run / "stream.npy", token_stream(tokenizer, [path for paths in train.values() for path in paths]))
    stream = np.load(run / "stream.npy", mmap_mode="r")
    held = {kind: token_stream(tokenizer, paths) for kind, paths in heldout.items()}
    sizes = {kind: sum(path.stat().st_size for path in paths) for kind, paths in heldout.items()}
    print(
        f"{len(stream):,} training tokens; held out: " + ", ".join(f"{k} {len(v):,}" for k, v in held.items()),
        flush=True,
    )

    model = build(settings)
    module: torch.nn.Module = model
    module.to(device)
    optims = optimizers(model, settings)
    seen = update = epoch = row = 0
    seconds = 0.0
    kept = Kept(run, asdict(settings), "tokens", model, optims, options.checkpoint_minutes)
    if options.resume:
        seen, update, epoch, row, seconds = kept.restore(device)

    @torch.compile
    def loss_of(batch: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16):
            logits = model(batch, use_cache=False).logits[:, :-1]
        return F.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())

    log = Log(run, update)
    rows = windows(stream, settings, epoch)
    mark = time.monotonic()
    while seen < settings.tokens:
        if row + settings.batch > len(rows):
            epoch, row = epoch + 1, 0
            rows = windows(stream, settings, epoch)
        factor = learning_rate(seen, update, settings)
        for optim, full in zip(optims, (settings.muon_lr, settings.adam_lr), strict=True):
            optim.param_groups[0]["lr"] = full * factor
        loss = loss_of(rows[row : row + settings.batch].to(device))
        loss.backward()
        for optim in optims:
            optim.step()
            optim.zero_grad()
        row, update, seen = row + settings.batch, update + 1, seen + settings.batch * settings.length
        if update % 20 == 0:
            seconds, mark = seconds + time.monotonic() - mark, time.monotonic()
            entry: dict[str, Any] = {
                "update": update,
                "tokens": seen,
                "loss": round(loss.item(), 4),
                "lr": round(factor, 4),
                "seconds": round(seconds),
            }
            if update % 200 == 0:
                entry["heldout"] = {
                    kind: round(heldout_bits(model, held[kind], sizes[kind], 16, device)[0], 4) for kind in held
                }
            log.add(entry)
        kept.save_now_and_then((seen, update, epoch, row, seconds))
    kept.save((seen, update, epoch, row, seconds))

    module.to(torch.bfloat16)  # what is saved is what is scored
    scores = {kind: heldout_bits(model, held[kind], sizes[kind], 10_000, device) for kind in held}
    summary = {
        "settings": asdict(settings),
        "parameters": model.num_parameters(),
        "training_tokens": seen,
        "passes_over_the_text": round(seen / len(stream), 2),
        "seconds": round(seconds),
        "device": torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "training_bytes": {k: sum(p.stat().st_size for p in paths) for k, paths in train.items()},
        "heldout_documents": {kind: [path.name for path in paths] for kind, paths in heldout.items()},
        "heldout_nats_per_token": {kind: round(score[0], 4) for kind, score in scores.items()},
        "heldout_bits_per_byte": {kind: round(score[1], 4) for kind, score in scores.items()},
    }
    model.save_pretrained(run / "model")
    tokenizer.save_pretrained(run / "model")
    (run / "training.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps({k: v for k, v in summary.items() if k != "heldout_documents"}, indent=1))


if __name__ == "__main__":
    main()
