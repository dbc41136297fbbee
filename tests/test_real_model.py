"""The real model through every command, for a few updates: what a stranger types after the installation."""

import json
from pathlib import Path

import pytest

from hyperfit.cli import main


def test_train_evaluate_generate_mechanism(
    smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--samples", "4", "--length", "24", "--batch-size", "2", "--epochs", "2", "--lr", "3e-4"]
    probes = ["--probe-every", "0", "--greedy-every", "0", "--probe-texts", "1", "--validation-samples", "1"]
    model = ["builtin:smollm2", "--data", "builtin:fiction", "--method", "late-full", "--late-blocks", "2"]
    main(["train", *model, *few, *probes, "-o", "run"])
    log = [json.loads(line) for line in Path("run/events.jsonl").read_text().splitlines()]
    losses = [event["train_loss"] for event in log if event["event"] == "epoch"][1:]
    assert losses[1] < losses[0] < 6, "nats per token: a model that knows English, and learns"

    contexts = ["--contexts", "builtin:news", "builtin:wiki", "--most-contexts", "2"]
    main(["evaluate", "run", *contexts, "--total", "128", "--decodings", "greedy", "--blocked", "--json"])
    found = json.loads(capsys.readouterr().out)["conditions"]
    assert found["human"]["ttr"]["value"] > 0.6
    assert found["base/greedy"]["ttr"]["n"] == 2
    assert found["base/greedy"]["ttr"]["value"] < found["human"]["ttr"]["value"]
    assert Path("run/report.html").stat().st_size > 10_000

    main(["generate", "run", "--prompt", "The ferry was late again, and", "--new-tokens", "12", "--json"])
    assert len(json.loads(capsys.readouterr().out)["continuation"].split()) > 4

    main(["mechanism", "run", "--studies", "ranks", "geometry", "--most-contexts", "2", "--json"])
    studies = json.loads(capsys.readouterr().out)["studies"]
    assert studies["ranks"]["sentence"]
    assert studies["geometry"]["sentence"]
