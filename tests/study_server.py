"""A run to judge, and a study of it on a server of its own process."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DOMAINS = ("fiction", "news")


def made_run(folder: Path, contexts: int = 10, conditions: tuple[str, ...] = ("greedy", "nucleus")) -> Path:
    """Samples as hyperfit evaluate leaves them: human ones and those of conditions of the hyperfitted model."""
    samples = folder / "samples"
    samples.mkdir(parents=True)
    for name in ("human", *conditions):
        model = {"model": "human"} if name == "human" else {"model": "hyperfitted", "decoding": name}
        words = "one two three four five six seven eight nine ten eleven twelve thirteen"
        rows = [
            {
                "context": f"Context {number} begins with a lamp in the win",
                "continuation": f"dow {number} by {name}, {words}",
                "source": f"builtin:{DOMAINS[number % len(DOMAINS)]}",
                **model,
            }
            for number in range(contexts)
        ]
        file = samples / ("human.jsonl" if name == "human" else f"hyperfitted-{name}.jsonl")
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "evaluation.json").write_text(json.dumps({"settings": {"total": 128}}))
    return folder


@dataclass
class Server:
    """A running hyperfit prefer serve."""

    process: subprocess.Popen[str]
    url: str
    enter: str
    """The owner's link."""

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def start(arguments: list[str], environment: Mapping[str, str] = os.environ) -> Server:
    """hyperfit prefer serve with arguments, once it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hyperfit", "prefer", "serve", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    links = [re.search(r"https?://\S+", process.stdout.readline()) for _ in range(2)]
    url, enter = (link[0] for link in links if link is not None)
    return Server(process, url, enter)


@contextmanager
def serving(*arguments: object) -> Iterator[Server]:
    """A server for the length of a block."""
    server = start([str(argument) for argument in arguments])
    try:
        yield server
    finally:
        server.kill()
