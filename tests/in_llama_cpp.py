"""llama.cpp itself, in the package xllamacpp: what it makes of a GGUF file."""

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

xllamacpp: Any = pytest.importorskip(
    "xllamacpp",
    reason="xllamacpp is not installed: GGUF files are not tried in llama.cpp itself (pip install xllamacpp)",
)


class LlamaCpp:
    """A GGUF file, loaded by llama.cpp."""

    def __init__(self, file: Path) -> None:
        settings = xllamacpp.CommonParams()
        settings.model.path = str(file)
        settings.n_ctx = 256
        settings.cpuparams.n_threads = 1
        settings.n_parallel = 1
        settings.warmup = False
        settings.verbosity = -1
        self.server = xllamacpp.Server(settings)

    def tokens(self, text: str) -> list[int]:
        """The text's tokens, with those that the file puts around it."""
        return list(self._answer("/tokenize", content=text, add_special=True)["tokens"])

    def greedy(self, context: list[int], tokens: int) -> list[int]:
        """The tokens that are likeliest one after the other."""
        return list(
            self._answer(
                "/completion", prompt=context, n_predict=tokens, temperature=0, return_tokens=True, ignore_eos=True
            )["tokens"]
        )

    def _answer(self, path: str, **asked: Any) -> dict[str, Any]:
        request = Request(
            self.server.listening_address + path, json.dumps(asked).encode(), {"Content-Type": "application/json"}
        )
        with urlopen(request) as answer:
            found: dict[str, Any] = json.load(answer)
        return found
