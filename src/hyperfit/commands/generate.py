"""hyperfit generate."""

import json
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar

from tyro.conf import Positional, arg

from hyperfit.commands.interface.output import Json, terminal
from hyperfit.generation.decodings import spellings
from hyperfit.generation.settings import GenerationSettings


@dataclass(frozen=True, kw_only=True)
class Generate(GenerationSettings):
    """Continue prompts with a hyperfitted model, an adapter, or any model.

    On a terminal each prompt is bold, and what the model wrote follows it. In a pipe or a file each prompt and each
    continuation stands below a line such as "=== 1 of 2, prompt", of more equals signs than any line of the texts
    begins with. For programs there is --json.

    Example: hyperfit generate runs/stories --prompt "The ferry was late again, and" --new-tokens 100

    Example: hyperfit generate builtin:smollm2 --chat --prompt "Why is the sky blue?"
    """

    model: Annotated[Positional[str], arg(metavar="MODEL")]
    """A run, an adapter folder, a model folder, a hub id, builtin:smollm2 or builtin:tiny."""
    decoding: Annotated[str, arg(help=f"By name, or with other values, as in nucleus:top_p=0.95. {spellings()}.")] = (
        "greedy"
    )
    json: Json = False
    """Print one JSON object a line: prompt, continuation, decoding, seed, and how citations were blocked."""

    groups: ClassVar = {
        "prompts": ("prompt", "prompts", "text_column", "chat"),
        "how the model writes": ("decoding", "strength", "new_tokens", "seed", "batch_size", "batch_invariant"),
        "blocked citations": ("block_citations", "citation_tokens", "citation_generated_only", "citation_whole_words"),
        "machine": ("device", "precision"),
        "what is printed": ("json",),
    }

    def run(self) -> None:
        """Print the continuations."""
        from hyperfit.generation.generate import generate

        settings = GenerationSettings(**{field.name: getattr(self, field.name) for field in fields(GenerationSettings)})
        rows = generate(settings)
        if self.json:
            for row in rows:
                print(json.dumps(row, ensure_ascii=False))
            return
        from hyperfit.commands.interface.written import show_written

        show_written(rows, terminal())
