"""Annotators of a preference study at once: how long requests take, and whether an answer is lost when the server dies.

    python benchmarks/prefer_load.py
    python benchmarks/prefer_load.py --kills 50 --annotators 20 --think 0.5

Each simulated annotator opens a page, thinks, answers, and repeats what was not confirmed. With --kills the server is
killed (SIGKILL) and started again so often meanwhile, and annotators go on until that is done. In the end the study's
export must hold every confirmed answer once, by the annotator who gave it, to the pair and the side that was shown.
Exit status 1 if it does not.
"""

import argparse
import html
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from machine import describe_machine

CLI = (sys.executable, "-m", "hyperfit", "prefer")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TEXT = re.compile(r'<p class="text" dir="auto"><bdi>(?:<span class="lead">[^<]*</span>)?([^<]*)</bdi>')
HIDDEN = re.compile(r'name="(proof|pair|revision)" value="([^"]*)"')


@dataclass
class Annotator:
    """One simulated person."""

    number: int
    address: str
    port: int
    draw: random.Random
    said: dict[tuple[str, str], str] = field(default_factory=dict)
    """(left, right text) → side, of confirmed answers."""
    seconds: list[float] = field(default_factory=list)
    """Of every request that was answered."""
    repeated: int = 0
    connection: http.client.HTTPConnection | None = None

    def work(self, think: float, over: threading.Event) -> None:
        """Answer until the study or the time is over; what was begun is brought to its end."""
        time.sleep(self.draw.uniform(0, think))
        page = self.ask("GET", self.address)[1]
        if "/start" in page:
            self.ask("POST", f"{self.address}/start", hidden(page))
            page = self.ask("GET", self.address)[1]
        while not over.is_set() and 'name="pair"' in page:
            time.sleep(self.draw.expovariate(1 / think))
            _, left, right = (html.unescape(text) for text in TEXT.findall(page))
            side = self.draw.choice(("left", "right", "equal"))
            status, page = self.ask(
                "POST", f"{self.address}/answer", {**hidden(page), "choice": side, "seconds": "3.5"}
            )
            if status != 303:
                raise RuntimeError(f"annotator {self.number}: status {status}")
            self.said[left, right] = side
            page = self.ask("GET", self.address)[1]

    def ask(self, method: str, address: str, fields: dict[str, str] | None = None) -> tuple[int, str]:
        """(status, text), repeated until the server has answered."""
        while True:
            begun = time.perf_counter()
            try:
                self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                self.connection.request(method, address, urlencode(fields) if fields else None, FORM if fields else {})
                response = self.connection.getresponse()
                text = response.read().decode()
                if response.status < 500:
                    self.seconds.append(time.perf_counter() - begun)
                    return response.status, text
            except (OSError, http.client.HTTPException):
                pass
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            self.repeated += 1
            time.sleep(0.05)


def main() -> None:
    """Simulate, print, write; and judge whether all is there."""
    settings = parse()
    with tempfile.TemporaryDirectory() as place:
        results = simulate(settings, Path(place))
    print(json.dumps(results, indent=1))
    if settings.output:
        settings.output.parent.mkdir(parents=True, exist_ok=True)
        settings.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if results["answers"]["lost"] or results["answers"]["doubled"] or results["answers"]["misassigned"]:
        sys.exit(1)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotators", type=int, default=200, help="at once")
    parser.add_argument(
        "--think", type=float, default=10.0, help="mean seconds before each answer: readers take longer"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long, without --kills")
    parser.add_argument("--contexts", type=int, default=1000, help="of the study, each with two pairs")
    parser.add_argument("--kills", type=int, default=0, help="of the server")
    parser.add_argument("--database", help="URL of an empty database; SQLite without")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


def simulate(settings: argparse.Namespace, place: Path) -> dict[str, Any]:
    """A whole study in a folder."""
    stored = ["--study", str(place / "study"), *(["--database", settings.database] if settings.database else [])]
    run = samples(place / "run", settings.contexts)
    process, port = serve([str(run), "--contexts", str(settings.contexts), *stored, "--port", "0"])
    links = called("invite", str(settings.annotators), *stored).split()
    annotators = [
        Annotator(number, link[link.index("/a/") :], port, random.Random(f"{settings.seed} {number}"))
        for number, link in enumerate(links, start=1)
    ]
    over, failed = threading.Event(), list[BaseException]()

    def work(annotator: Annotator) -> None:
        try:
            annotator.work(settings.think, over)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(annotator,)) for annotator in annotators]
    for thread in threads:
        thread.start()
    draw = random.Random(settings.seed)
    for _ in range(settings.kills):
        time.sleep(draw.uniform(0.3, 1.5))
        end(process)
        process, _ = serve([*stored, "--port", str(port)])
    if not settings.kills:
        over.wait(settings.seconds)
    over.set()
    for thread in threads:
        thread.join()
    rows = [json.loads(line) for line in called("export", *stored).splitlines()]
    end(process)
    if failed:
        raise failed[0]
    seconds = sorted(second for annotator in annotators for second in annotator.seconds)
    return {
        "machine": describe_machine(),
        "load_before": os.getloadavg()[0],
        "settings": {name: value for name, value in vars(settings).items() if name != "output"},
        "requests": {
            "count": len(seconds),
            "repeated": sum(annotator.repeated for annotator in annotators),
            **{f"p{share}_ms": round(1000 * seconds[int(len(seconds) * share / 100)], 1) for share in (50, 95, 99)},
            "slowest_ms": round(1000 * seconds[-1], 1),
            "share_under_200_ms": round(sum(second < 0.2 for second in seconds) / len(seconds), 4),
        },
        "answers": compared(annotators, rows),
    }


def compared(annotators: list[Annotator], rows: list[dict[str, Any]]) -> dict[str, int]:
    """How many answers were confirmed, and how many of them the export lacks, has twice, or has as another's."""
    exported = Counter[tuple[int, str, str, str]]()
    for row in rows:
        texts = [row["first_text"], row["second_text"]][:: -1 if row["swapped"] else 1]
        left, right = ("second", "first") if row["swapped"] else ("first", "second")
        side = {left: "left", right: "right", "equal": "equal"}[row["choice"]]
        exported[int(row["judge"]), *texts, side] += 1
    confirmed = {
        (annotator.number, left, right, side)
        for annotator in annotators
        for (left, right), side in annotator.said.items()
    }
    return {
        "confirmed": len(confirmed),
        "lost": len(confirmed - exported.keys()),
        "doubled": sum(count > 1 for count in exported.values())
        + sum(count > 3 for count in Counter(row["item"] for row in rows).values()),
        "misassigned": len(exported.keys() - confirmed),
    }


def samples(folder: Path, contexts: int) -> Path:
    """An evaluated run: human texts and those of two decodings, as long as those of 128 tokens are."""
    (folder / "samples").mkdir(parents=True)
    draw = random.Random(0)
    words = [f"w{number}" for number in range(500)]
    for name in ("human", "greedy", "nucleus"):
        about = {"model": "human"} if name == "human" else {"model": "hyperfitted", "decoding": name}
        lines = [
            {
                "context": f"Context {number}",
                "continuation": f" {name} {number} {' '.join(draw.choices(words, k=90))}",
                "source": f"domain {number % 3}",
                **about,
            }
            for number in range(contexts)
        ]
        (folder / "samples" / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "evaluation.json").write_text(json.dumps({"settings": {"total": 128}}))
    return folder


def serve(arguments: list[str]) -> tuple[subprocess.Popen[str], int]:
    """A server that answers, and its port."""
    process = subprocess.Popen([*CLI, "serve", *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.search(r"http://[^:]+:(\d+)", process.stdout.readline())
    if found is None:
        raise SystemExit("the server did not start")
    return process, int(found[1])


def end(process: subprocess.Popen[str]) -> None:
    """Kill a server, whatever it does."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def called(*arguments: str) -> str:
    """What hyperfit prefer prints."""
    return subprocess.run([*CLI, *arguments], check=True, capture_output=True, text=True).stdout


def hidden(page: str) -> dict[str, str]:
    """The fields of a page's form."""
    return {name: html.unescape(value) for name, value in HIDDEN.findall(page)}


if __name__ == "__main__":
    main()
