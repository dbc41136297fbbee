"""Memory and time of hyperfitting a model that is not at hand, counted and not measured: the README's 7 billion.

    python benchmarks/arithmetic.py
    python benchmarks/arithmetic.py --blocks 80 --width 8192 --mlp 28672 --kv 1024 --vocabulary 128256 --learning 53

Two bytes a weight, sixteen a parameter that learns (value, gradient and Adam's two moments in fp32), ACTIVATIONS bytes
a token and block through which gradients pass. Operations: two a parameter and token forward, two more for gradients of
states, two more for those of weights that learn; frozen blocks below are cached. ACTIVATIONS and UTILISATION are
assumed.
"""

import argparse
from dataclasses import dataclass

ACTIVATIONS = 0.25e6
UTILISATION = 0.4
A100 = 312e12
"""Operations a second of an A100 in bf16, as its maker gives them."""


@dataclass(frozen=True)
class Shape:
    """A decoder of Llama's kind."""

    blocks: int
    width: int
    mlp: int
    kv: int
    """Width of keys and values."""
    vocabulary: int

    @property
    def block(self) -> int:
        """Parameters of a block's linear layers."""
        return 2 * self.width * (self.width + self.kv) + 3 * self.width * self.mlp

    @property
    def head(self) -> int:
        """Parameters of the head; the embedding has as many."""
        return self.vocabulary * self.width

    @property
    def total(self) -> int:
        """Parameters of the model."""
        return self.blocks * self.block + 2 * self.head

    def adapters(self, rank: int) -> int:
        """Parameters of the adapters of one block."""
        width, kv, mlp = self.width, self.kv, self.mlp
        return rank * (2 * (width + width) + 2 * (width + kv) + 3 * (width + mlp))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("blocks", 32), ("width", 4096), ("mlp", 11008), ("kv", 4096), ("vocabulary", 32000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in (("learning", 21), ("whole", 10), ("rank", 64), ("sequences", 500), ("length", 256)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    shape = Shape(asked.blocks, asked.width, asked.mlp, asked.kv, asked.vocabulary)
    late, adapters = asked.learning * shape.block, asked.learning * shape.adapters(asked.rank)
    whole, tokens = asked.whole * shape.block, asked.sequences * asked.length
    rows = (
        (f"late-lora, last {asked.learning}", 2 * shape.total + 16 * adapters, asked.learning,
         4 * (late + shape.head) + 6 * adapters, 4 * adapters),
        ("  with --streaming", 2 * (late + shape.head) + 16 * adapters, asked.learning,
         4 * (late + shape.head) + 6 * adapters, 4 * adapters),
        (f"late-full, last {asked.whole}", 2 * shape.total + 16 * whole, asked.whole,
         6 * whole + 4 * shape.head, 4 * shape.total),
        ("full", 16 * shape.total, asked.blocks, 6 * (shape.total - shape.head), 4 * shape.total),
    )  # fmt: skip
    print(f"{shape.total / 1e9:.2f} billion parameters; prefix cache {2 * tokens * shape.width / 1e9:.2f} GB")
    print(f"{'':24}{'GB, batch 2':>12}{'batch 8':>9}{'s an epoch':>12}{'result, GB':>12}")
    for name, held, through, operations, result in rows:
        at = [(held + through * batch * asked.length * ACTIVATIONS) / 1e9 for batch in (2, 8)]
        seconds = tokens * operations / (UTILISATION * A100)
        print(f"{name:24}{at[0]:12.0f}{at[1]:9.0f}{seconds:12.0f}{result / 1e9:12.2f}")


if __name__ == "__main__":
    main()
