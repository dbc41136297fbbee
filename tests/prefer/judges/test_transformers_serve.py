"""The protocol against a real server: ``transformers serve`` with a tiny random model. Skipped where it can not run."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from transformers.utils.import_utils import is_serve_available

from hyperfit.errors import UserError
from hyperfit.prefer.judges.judge import judge_at_endpoint
from hyperfit.prefer.judges.settings import JudgeSettings
from tiny_models import save_tiny

TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
LONGEST_START = 120
"""Seconds."""

pytestmark = pytest.mark.skipif(
    not is_serve_available(), reason="transformers serve needs the packages of transformers[serving], openai among them"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """(address, model) of a server on loopback, for as long as the tests of this file run."""
    folder = save_tiny(tmp_path_factory.mktemp("served"), max_position_embeddings=4096)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder), "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--device", "cpu"],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + LONGEST_START
        while True:
            try:
                httpx2.get(f"http://127.0.0.1:{port}/health", timeout=2)
                break
            except httpx2.HTTPError:
                assert process.poll() is None, "the server has ended"
                assert time.monotonic() < until, "the server has not started"
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        process.terminate()
        process.wait(30)


def test_a_real_server_understands_what_is_sent(server: tuple[str, str], tmp_path: Path) -> None:
    """A random model answers nonsense: every request is taken, counted and kept, and no judgement is made up."""
    url, model = server
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"context": "Once", "continuation": " there was", "reference": " upon a time"}) + "\n")
    settings = JudgeSettings(endpoint=url, model=model, texts=texts, dimensions=(), most_tokens=16, concurrency=2)
    with pytest.raises(UserError, match="has answered no pair in both orders"):
        judge_at_endpoint([], settings, tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.exchanges.jsonl").read_text().splitlines()]
    assert {row["status"] for row in rows} == {200}
    assert len(rows) == 6, "two orders, asked three times each"
    assert all(row["reply"]["usage"]["prompt_tokens"] > 50 for row in rows)
