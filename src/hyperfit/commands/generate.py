"""hyperfit generate."""

import json
from dataclasses import dataclass, fields
from typing import Annotated

from tyro.conf import Positional, arg

from hyperfit.commands.output import Json
from hyperfit.generation.decodings import spellings
from hyperfit.generation.settings import GenerationSettings


@dataclass(frozen=True, kw_only=True)
class Generate(GenerationSettings):
    """Continue prompts with a hyperfitted model, an adapter, or any model."""

    model: Annotated[Positional[str], arg(metavar="MODEL")]
    """A run, an adapter folder, a model folder, a hub id, builtin:smollm2 or builtin:tiny."""
    decoding: Annotated[str, arg(help=f"By name, or with other values, as in nucleus:top_p=0.95. {spellings()}.")] = (
        "greedy"
    )
    json: Json = False
    """Print one JSON object a line: prompt, continuation, decoding, seed, and how citations were blocked."""

    def run(self) -> None:
        """Print the continuations."""
        from hyperfit.generation.generate import generate

        settings = GenerationSettings(**{field.name: getattr(self, field.name) for field in fields(GenerationSettings)})
        for row in generate(settings):
            print(json.dumps(row, ensure_ascii=False) if self.json else f"{row['prompt']}{row['continuation']}\n")
