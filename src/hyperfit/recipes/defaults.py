"""What a recipe leaves open and the model decides: how many late blocks learn, and the learning rate."""

from dataclasses import replace

from hyperfit.recipes.recipe import Recipe

WIDTH = 576
"""Of SmolLM2-135M, on which the rates below were sought (LAB.md)."""
FULL_RATE = 1e-4
"""For all parameters at that width."""
ADAPTER_RATE = 1e-3
"""For adapters whose alpha is their rank, at that width."""


def default_late_blocks(depth: int) -> int:
    """Two thirds of a model's blocks, at least one: on SmolLM2 fewer reach the same loss and write worse (LAB.md).

    Li et al. (2026) adapt the last 5. Against adapters in every block that gave TinyLlama (22 blocks) a type-token
    ratio of .469 for .508, and Qwen2.5-1.5B (28) .591 for .575. The frozen third is what the prefix cache saves.
    """
    return max(1, round(2 * depth / 3))


def default_rate(method: str, width: int, learning: float = 1.0) -> float:
    """The rate for ``method`` on a model of hidden size ``width``; ``learning`` is the share of its blocks that learn.

    All parameters: FULL_RATE (WIDTH / width)². That runs through what was found at width 256 (5e-4) and 576 (1e-4), and
    lies by what the authors of the method used at 2,048 (5e-6; it gives 7.9e-6) and at 4,096 (1e-6; 2.0e-6). With a
    part of the blocks the rate rises as the share falls: a step of Adam moves each weight by about the rate, so what n
    blocks do to the logits in a step adds up to n times the rate. Adapters: ADAPTER_RATE WIDTH / width, as their
    product has one factor of that width that learns; 2.8e-4 at 2,048 and 1.4e-4 at 4,096, which is usual there.
    Two significant digits.
    """
    if method in ("full", "late-full"):
        rate = FULL_RATE * (WIDTH / width) ** 2 / learning
    else:
        rate = ADAPTER_RATE * WIDTH / width
    return float(f"{min(rate, 1.0):.1e}")


def filled_in(recipe: Recipe, depth: int, width: int) -> Recipe:
    """The recipe with late blocks and learning rate for a model of ``depth`` blocks and hidden size ``width``."""
    late = recipe.late_blocks or (default_late_blocks(depth) if recipe.late else None)
    share = late / depth if late and recipe.method == "late-full" else 1.0
    return replace(recipe, late_blocks=late, lr=recipe.lr or default_rate(recipe.method, width, share))
