"""Recipes of the papers and of the built-in models, as functions of model and data."""

from collections.abc import Callable
from dataclasses import replace

from hyperfit.recipes.recipe import Recipe


def carlsson2025(model: str, data: str) -> Recipe:
    """*The Hyperfitting Phenomenon*: 20 epochs over 2,000 sequences of 256 tokens, all parameters.

    Adam, lr 1e-6 constant, batch 8, no weight decay, no early stop; validation on 128 sequences and
    32 greedy texts. The paper gives the optimiser and data, its reference code the validation.
    """
    return Recipe(
        model=model,
        data=data,
        method="full",
        samples=2000,
        length=256,
        epochs=20,
        batch_size=8,
        lr=1e-6,
        stop_loss=None,
        stop_copying=None,
    )


def li2026(model: str, data: str) -> Recipe:
    """*Beyond Temperature*: Late-Stage LoRA in the last 5 blocks, 2,000 sequences, up to 260 epochs.

    The paper states depth, samples and epochs; rank, scale and learning rate are not known to us, so
    those here are this project's defaults. Greedy texts every 5 epochs, as 260 times would cost more
    than the training.
    """
    return Recipe(
        model=model,
        data=data,
        method="late-lora",
        late_blocks=5,
        samples=2000,
        epochs=260,
        batch_size=8,
        stop_copying=None,
        greedy_every=5,
    )


def tiny(model: str, data: str) -> Recipe:
    """Late-Stage LoRA for the embedded model of 11.7 million parameters, see LAB.md; greedy text every 4 epochs."""
    return Recipe(
        model=model,
        data=data,
        method="late-lora",
        late_blocks=5,
        samples=64,
        rank=128,
        lr=2e-3,
        epochs=60,
        batch_size=4,
        greedy_every=4,
        probe_texts=16,
        validation_samples=24,
    )


def tiny_full(model: str, data: str) -> Recipe:
    """All parameters of the embedded model, calibrated in LAB.md; otherwise as ``tiny``."""
    return replace(tiny(model, data), method="full", lr=1e-3, epochs=40, batch_size=8)


def tiny_image(model: str, data: str) -> Recipe:
    """All parameters of the embedded model of pictures, calibrated in LAB.md: some minutes of a core."""
    return Recipe(
        model=model,
        data=data,
        method="full",
        samples=64,
        lr=1e-3,
        epochs=40,
        batch_size=8,
        greedy_every=4,
        probe_texts=16,
        validation_samples=32,
        checkpoint_every=4,
    )


def smollm2(model: str, data: str) -> Recipe:
    """All parameters of the last blocks of SmolLM2-135M, calibrated in LAB.md: minutes on two cores.

    It stops at a loss of .25: on so few sequences the rest of the way adds little variety and most of the recitation.
    Late blocks and rate are left open, so that it fits other models too; on this one they come to 20 of 30 and 1.5e-4.
    Greedy texts every 2 epochs, by which a run that begins to recite ends.
    """
    return Recipe(
        model=model,
        data=data,
        method="late-full",
        samples=24,
        length=128,
        epochs=16,
        batch_size=2,
        stop_loss=0.25,
        probe_every=0,
        greedy_every=2,
        probe_texts=12,
        validation_samples=12,
        checkpoint_every=4,
    )


def smollm2_late_lora(model: str, data: str) -> Recipe:
    """Late-Stage LoRA; otherwise as ``smollm2``."""
    return replace(smollm2(model, data), method="late-lora")


def smollm2_lora(model: str, data: str) -> Recipe:
    """LoRA in every block; otherwise as ``smollm2``."""
    return replace(smollm2(model, data), method="lora")


def smollm2_full(model: str, data: str) -> Recipe:
    """All parameters; otherwise as ``smollm2``."""
    return replace(smollm2(model, data), method="full")


PRESETS: dict[str, Callable[[str, str], Recipe]] = {
    "carlsson2025": carlsson2025,
    "li2026": li2026,
    "smollm2": smollm2,
    "smollm2-late-lora": smollm2_late_lora,
    "smollm2-lora": smollm2_lora,
    "smollm2-full": smollm2_full,
    "tiny": tiny,
    "tiny-full": tiny_full,
    "tiny-image": tiny_image,
}
