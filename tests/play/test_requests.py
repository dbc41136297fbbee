"""What the playground's server answers to requests of every kind: continuations, refusals, paths, limits."""

import hashlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from forked import START
from hyperfit.cli import main
from hyperfit.errors import UserError, pip_install
from hyperfit.play.checks import check_play
from hyperfit.play.settings import PlaySettings
from play_server import ENDLESS, Client, playing
from small_evaluations import runs_to_evaluate


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs_to_evaluate(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def served(runs: Path) -> Iterator[Client]:
    """One server for all who leave it as it was."""
    others = runs / "others.jsonl"
    with playing(runs / "late-lora", "--contexts", others, "--context", 16, "--longest", 40) as url:
        yield Client(url)


def test_a_continuation_comes_token_by_token_and_leaves_nothing(served: Client, runs: Path) -> None:
    before = digests(runs)
    events = served.write()
    assert events[0] == {"event": "start", "tokens": 16, "lead": "0 the horse went"}
    assert events[-1] == {"event": "end"}
    told = [(one["event"], one["side"]) for one in events[1:-1]]
    assert told == [("token", "base"), ("token", "hyperfitted")] * 6
    for one in events[1:-1]:
        assert one["chosen"]["rank"] == 1
        assert one["alternatives"][0] == one["chosen"]
        assert len(one["alternatives"]) == 8
    assert served.write() == events
    at_zero = [one["chosen"]["text"] for one in served.write(strength="0") if one["event"] == "token"]
    assert at_zero[::2] == at_zero[1::2] == [one["chosen"]["text"] for one in events[1:-1:2]]
    assert served.write() == events
    assert digests(runs) == before


def digests(folder: Path) -> dict[Path, str]:
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


def test_what_is_asked_wrongly_is_told_at_once(served: Client) -> None:
    status, problems = served.refused(
        **{"context": " \n", "new_tokens": "999999", "strength": "nan", "decoding": "nucleus", "nucleus.top_p": "7"},
        seed="x",
    )
    assert status == 400
    assert [problem.partition(":")[0] for problem in problems] == [
        *("Context", "New tokens", "Seed", "Strength", "Decoding nucleus")
    ]
    assert served.refused(decoding="best")[1][0].startswith("Decoding best: no such decoding")
    assert served.refused(context="x" * 41) == (400, ["Context: it has 41 tokens, and 40 are the most; shorten it"])
    assert served.refused(proof="x")[0] == 403
    assert served.refused({"Origin": "http://evil.example"})[0] == 403
    assert served.refused({"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert served.refused(context="x" * 70_000)[0] == 413
    assert served.get("/", Host="evil.example")[0] == 400
    assert served.get("/write")[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/files/../play.html.j2", "/files/play.html.j2", "/files/%2e%2e%2fsite.py", "/files//etc/passwd",
        "/../README.md", "/files/..%5c..%5cpyproject.toml", "/recipe.json", "/docs", "/openapi.json",
        "/files/play.css%00.css",
    ],
)  # fmt: skip
def test_no_path_leads_to_a_file(served: Client, path: str) -> None:
    assert served.get(path)[0] == 404


def test_headers_and_files(served: Client) -> None:
    page = served.get("/")[1]
    for address in re.findall(r'(?:href|src)="([^"]+)"', page):
        assert address.startswith("/files/")
        assert served.get(address)[0] == 200
    assert served.get("/")[1] == page
    assert "default-src 'none'" in served.headers["content-security-policy"]
    assert served.headers["cache-control"] == "no-store"
    assert "style=" not in page
    assert "onclick" not in page


def test_one_continuation_at_a_time_and_a_stopped_one_makes_room(runs: Path) -> None:
    with playing(runs / "full", before=ENDLESS) as url:
        client = Client(url)
        for _ in range(3):
            with client.begin() as first:
                assert json.loads(first.readline())["event"] == "start"
                status, (problem,) = client.refused()
                assert (status, problem.partition(",")[0]) == (409, "Another continuation is being written")


INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""Also where the tests run in the background of a shell, which has them ignore it."""


def test_a_server_that_is_stopped_ends_what_it_writes(runs: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE + ENDLESS + START, "play", str(runs / "full"), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = re.search(r"http://[^ ]+", process.stdout.readline())
    assert address is not None
    with Client(address[0]).begin() as answer:
        assert json.loads(answer.readline())["event"] == "start"
        process.send_signal(signal.SIGINT)
        assert "end" not in [json.loads(line)["event"] for line in answer]
    _, said = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in said


def test_a_full_bucket_is_told(runs: Path) -> None:
    with playing(runs / "full") as url:
        client = Client(url)
        answers = [client.refused(context=" ") for _ in range(40)]
    assert {status for status, _ in answers} == {400, 429}
    assert "wait a minute" in answers[-1][1][0]


def test_bad_input_is_told_at_once(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        check_play(tmp_path, PlaySettings(host="0.0.0.0", device="nowhere"))
    host, device, run = caught.value.problems
    assert host.startswith("--host 0.0.0.0: other machines reach it")
    assert device.startswith("--device nowhere")
    assert run.startswith(f"{tmp_path}: no run here")
    with pytest.raises(UserError, match="--new-tokens 0: give 1 or more"):
        PlaySettings(new_tokens=0)
    with pytest.raises(UserError, match="--text-column: says which column of --contexts holds the texts"):
        PlaySettings(text_column="story")


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["play", *map(str, arguments)])
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_port_in_use_and_a_run_that_is_none_are_two_messages(
    served: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = served.place.rpartition(":")[2]
    first, second = refused(capsys, tmp_path, "--port", port).splitlines()
    assert first.startswith(f"hyperfit: --host 127.0.0.1 --port {port}: cannot be bound (Address already in use)")
    assert "no run here" in second


def test_missing_packages_are_named(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hyperfit.web.installed.find_spec", lambda name: None if name == "uvicorn" else find_spec(name))
    assert refused(capsys, runs / "full") == f"hyperfit: hyperfit play: needs uvicorn; {pip_install('uvicorn')}\n"


def test_texts_that_are_gone_leave_the_page_poorer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = runs_to_evaluate(tmp_path)
    (runs / "texts.jsonl").unlink()
    checked = check_play(runs / "late-lora", PlaySettings())
    assert checked.training is None
    assert checked.offers == []
    said = capsys.readouterr().err
    assert "No contexts are offered" in said
    assert "What is recited from the training data is not marked" in said
