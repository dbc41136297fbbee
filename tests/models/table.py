"""The table of model types in docs/models.md: written by ``python tests/models/table.py docs/models.md``, and read."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import peft
import torch
import transformers
from marks import Marks, marks_of
from zoo import CAUSAL, MULTIMODAL, UNBUILT

from hyperfit.console import progress

DOCS = Path(__file__).parents[2] / "docs" / "models.md"
HEAD = """# Models

Every causal LM of transformers, and the text side of every multimodal one, tried as a tiny random model in fp32 on
a CPU: transformers {transformers}, PEFT {peft}, torch {torch}. Written by
`python tests/models/table.py docs/models.md`; a test compares each row with what holds.
{sums}

- **found**: blocks, final norm and head are found by watching a forward pass; a token changes nothing before it; the
  training loss is the one that transformers computes itself.
- **generates**: texts continued in one batch are the texts continued alone.
- **adapters**: Late-Stage LoRA learns in the late blocks alone, changes what the model says, and comes back from its
  file.
- **experts**: experts that are held as one tensor get adapters, too; empty where there are none.
- **prefix**: loss and gradients above cached blocks equal those of the whole model, bit for bit. Tried with batches of
  whole multiples of 32 tokens: PyTorch computes a sigmoid 32 numbers at a time and what is over in another way, so
  that a gate of one number a token (shared experts of the Qwen families) differs in its last bit by a token's place
  in another batch.

| type | blocks | found | generates | adapters | experts | prefix |
|---|---|---|---|---|---|---|
"""


def row(kind: str, marks: Marks) -> str:
    """A line of the table; where the model is refused, the reason and nothing else."""
    cells = (marks.blocks, marks.found, marks.generates, marks.adapters, marks.experts, marks.prefix)
    return f"| {kind} | {' | '.join(cells)} |"


def rows(page: str) -> dict[str, str]:
    """Type → its line, of a page written before."""
    lines = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| type ")]
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines}


def write(file: Path) -> None:
    """Try every type and write the page."""
    kinds, found = [kind for kind in (*CAUSAL, *MULTIMODAL) if kind not in UNBUILT], dict[str, Marks]()
    with progress("model types", len(kinds)) as advance:
        for kind in kinds:
            with tempfile.TemporaryDirectory() as folder:
                found[kind] = marks_of(kind, Path(folder))
            advance(1)
    run = [marks for marks in found.values() if marks.found.startswith("yes")]
    exact = sum(marks.prefix == "yes" for marks in run)
    sums = f"Of {len(found)} types that were tried {len(run)} can be hyperfitted, {exact} with an exact prefix."
    versions = {
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "torch": torch.__version__.split("+")[0],
    }
    lines = [row(kind, marks) for kind, marks in found.items()]
    unbuilt = [f"- {kind}: {reason}" for kind, reason in sorted(UNBUILT.items())]
    page = [HEAD.format(**versions, sums=sums) + "\n".join(lines), "\nNot tried:\n", *unbuilt]
    file.write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
