"""Runs in experiment trackers: the numbers of events.jsonl, the recipe, and nothing where none was asked for."""

import json
from pathlib import Path
from typing import Any

import pytest

from hyperfit.cli import main
from hyperfit.errors import pip_install
from hyperfit.runs import trackers

QUICK = "--length 16 --batch-size 4 --epochs 2 --late-blocks 2 --rank 4 --probe-texts 2 --device cpu --precision fp32"


def train(world: tuple[str, str], output: Path, *flags: str) -> None:
    main(["train", world[0], "--data", world[1], "-o", str(output), *QUICK.split(), *flags])


def numbers(run: Path) -> dict[str, dict[int, float]]:
    """Measure → update → value, of the epochs in events.jsonl."""
    found: dict[str, dict[int, float]] = {}
    for event in map(json.loads, (run / "events.jsonl").read_text().splitlines()):
        if event["event"] == "epoch":
            for name, value in event.items():
                if isinstance(value, (int, float)) and name != "step":
                    found.setdefault(name, {})[int(str(event["step"]))] = value
    return found


def test_tensorboard(world: tuple[str, str], tmp_path: Path) -> None:
    reader: Any = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(world, tmp_path / "run", "--log-with", "tensorboard")
    seen = reader.EventAccumulator(str(tmp_path / "run" / "tensorboard" / "hyperfit")).Reload()
    told = numbers(tmp_path / "run")
    assert set(told) >= {"train_loss", "val_loss", "entropy", "epoch"}
    assert set(told) == set(seen.Tags()["scalars"])
    for name, values in told.items():
        assert {one.step: one.value for one in seen.Scalars(name)} == pytest.approx(values)
    (settings,) = (tmp_path / "run").rglob("hparams.yml")
    assert "method: late-lora" in settings.read_text()
    assert str(Path(world[0]).parent) not in settings.read_text(), "no folder of this machine"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within mlflow
def test_mlflow_in_a_local_folder(world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow: Any = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    train(world, tmp_path / "run", "--log-with", "mlflow")
    client = mlflow.MlflowClient()
    (experiment,) = client.search_experiments(filter_string="name = 'hyperfit'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params["method"] == "late-lora"
    assert run.data.params["model"] == Path(world[0]).name
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert run.data.params["data_fingerprint"] == environment["data_fingerprint"]
    for name, values in numbers(tmp_path / "run").items():
        history = client.get_metric_history(run.info.run_id, name)
        assert {one.step: one.value for one in history} == pytest.approx(values)


def test_none_is_told_unless_asked_for(world: tuple[str, str], tmp_path: Path) -> None:
    train(world, tmp_path / "run")
    made = {path.name for path in (tmp_path / "run").iterdir()}
    assert made == {"recipe.json", "environment.json", "events.jsonl", "adapter"}


def fails(capsys: pytest.CaptureFixture[str], world: tuple[str, str], output: Path, *flags: str) -> str:
    with pytest.raises(SystemExit) as ended:
        train(world, output, *flags)
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    return said


def test_trackers_that_are_not_there_are_named_with_what_else_is_wrong(
    world: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "get_available_trackers", list)
    said = fails(capsys, world, tmp_path / "run", "--log-with", "wandb", "trackio", "--device", "cuda:99")
    for part in (
        f"--log-with wandb: its package is not there; {pip_install('wandb')}, or leave it out",
        "--log-with trackio: ",
        "--device cuda:99",
    ):
        assert part in said
    assert not (tmp_path / "run").exists()
    assert "give one of tensorboard, wandb, trackio, mlflow" in fails(
        capsys, world, tmp_path / "run", "--log-with", "paper"
    )


def test_a_tracker_that_cannot_be_started_leaves_a_run_to_go_on_with(
    world: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nothing://of/the/kind")
    said = fails(capsys, world, tmp_path / "run", "--log-with", "mlflow")
    assert "--log-with mlflow: cannot be started (" in said
    assert "repeat the command with --resume" in said
    train(world, tmp_path / "run", "--resume")
    assert (tmp_path / "run" / "adapter").is_dir()
