"""A run whose base model has got other weights since: every command that reads them refuses, in one message."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.models.files.weights import weights_fingerprint
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from hyperfit.studies.grid.training import train_trial
from hyperfit.training.saving import Saving
from hyperfit.training.train import train
from small_runs import assert_same, quiet, recipe_for
from tiny_models import save_tiny

SHORT = ("--total", "104", "--context", "8", "--most-contexts", "2", "--device", "cpu")


@pytest.fixture(scope="module")
def trained(world: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of its own, and two finished runs of it: an adapter, and a model trained whole."""
    folder = tmp_path_factory.mktemp("changed")
    model = save_tiny(folder / "model", max_position_embeddings=256)
    for method in ("late-lora", "full"):
        recipe = recipe_for((str(model), world[1]), method=method, epochs=2, keep_every=1, heldout=0.3)
        train(recipe, folder / method, notify=quiet)
    return folder


@pytest.fixture
def model(trained: Path) -> Iterator[Path]:
    """The base model of the runs, which is as it was when the test has ended."""
    file = trained / "model" / "model.safetensors"
    before = file.read_bytes()
    yield trained / "model"
    file.write_bytes(before)


def alter(model: Path) -> None:
    """A little more training."""
    tensors = load_file(model / "model.safetensors")
    save_file({name: tensor + 1e-3 for name, tensor in tensors.items()}, model / "model.safetensors", {"format": "pt"})


def refusal(model: Path, run: Path) -> str:
    return f"{model}: its weights are not those that {run} was trained on; restore them, or train again in a new"


def interrupted(recipe: Recipe, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was stopped after its first epoch."""

    def stop(saving: Saving, loss: float, event: dict[str, object]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Saving, "keep", stop)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, output, notify=quiet)


def test_a_run_knows_its_base(trained: Path) -> None:
    for method in ("late-lora", "full"):
        run = RunDir.open(trained / method)
        for known in (run, run.kept[1]):
            assert known.environment["weights_fingerprint"] == weights_fingerprint(str(trained / "model"))


def test_resume_refuses_together_with_what_else_has_changed(
    model: Path, world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = shutil.copytree(world[1], tmp_path / "texts")
    recipe = recipe_for((str(model), str(texts)), keep_every=1)
    interrupted(recipe, tmp_path / "run", monkeypatch)
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    alter(model)
    said = (
        f"--resume: the weights of {model} are not those this run was started with; restore them, or start another "
        "run in a new --output folder"
    )
    with pytest.raises(UserError) as caught:
        train(recipe, tmp_path / "run", resume=True, notify=quiet)
    assert caught.value.problems == (said,)
    with pytest.raises(UserError) as caught:
        train(dataclasses.replace(recipe, rank=2), tmp_path / "run", resume=True, notify=quiet)
    assert len(caught.value.problems) == 2
    assert "--rank was 4, is now 2" in caught.value.problems[0]
    assert caught.value.problems[1] == said
    (texts / "00.txt").write_text("other words " * 30)
    with pytest.raises(UserError) as caught:
        train(recipe, tmp_path / "run", resume=True, notify=quiet)
    assert len(caught.value.problems) == 2
    assert "the texts of" in caught.value.problems[0]
    assert {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()} == before


def test_another_model_is_named_once(model: Path, world: tuple[str, str], tmp_path: Path) -> None:
    recipe = recipe_for((str(model), world[1]), epochs=1)
    train(recipe, tmp_path / "run", notify=quiet)
    other = save_tiny(tmp_path / "other", seed=3)
    with pytest.raises(UserError) as caught:
        train(dataclasses.replace(recipe, model=str(other)), tmp_path / "run", resume=True, notify=quiet)
    assert len(caught.value.problems) == 1
    assert f"--model was {model}, is now {other}" in caught.value.problems[0]


def test_unchanged_weights_resume_bit_for_bit_and_so_do_runs_that_do_not_know_them(
    model: Path, world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written anew to the same place, at another time and with other metadata, they are the same weights."""
    recipe = recipe_for((str(model), world[1]), epochs=2, keep_every=1)
    train(recipe, tmp_path / "whole", notify=quiet)
    interrupted(recipe, tmp_path / "run", monkeypatch)
    forget(shutil.copytree(tmp_path / "run", tmp_path / "old"))
    save_file(load_file(model / "model.safetensors"), model / "model.safetensors", {"format": "pt", "by": "hand"})
    for name in ("run", "old"):
        train(recipe, tmp_path / name, resume=True, notify=quiet)
        assert_same(tmp_path / "whole", tmp_path / name)


def forget(run: Path) -> None:
    """Make it a run of a version that did not record the weights."""
    file = run / "environment.json"
    environment = json.loads(file.read_text())
    del environment["weights_fingerprint"]
    file.write_text(json.dumps(environment))


def made(run: Path) -> list[Path]:
    """What lies in it, without the index of its training texts, which any command may leave."""
    return sorted(path for path in run.rglob("*") if not path.name.startswith("citations-"))


COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "evaluate": lambda run, out: ["evaluate", str(run), *SHORT],
    "generate": lambda run, out: ["generate", str(run), "--prompt", "river", "--new-tokens", "3", "--device", "cpu"],
    "generate with the adapter": lambda run, out: [
        *("generate", str(run / "adapter"), "--prompt", "river", "--new-tokens", "3", "--device", "cpu")
    ],
    "mechanism": lambda run, out: ["mechanism", str(run), *SHORT, "--studies", "ranks"],
    "mechanism of two": lambda run, out: [
        *("mechanism", "--base", str(run.parent / "model"), "--tuned", str(run), "-o", str(out), *SHORT),
        *("--studies", "ranks", "--contexts", RunDir.open(run).recipe.data),
    ],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_refuses_an_adapter_on_other_weights(
    trained: Path, model: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(trained / "late-lora", trained / "copy", dirs_exist_ok=True)
    alter(model)
    before = made(run)
    with pytest.raises(SystemExit) as ended:
        main(COMMANDS[command](run, tmp_path / "out"))
    assert ended.value.code == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "weights" in line)
    assert line.startswith(f"hyperfit: {refusal(model, run)}")
    assert made(run) == before
    assert not (tmp_path / "out").exists()
    forget(run)
    main(COMMANDS[command](run, tmp_path / "out"))
    shutil.rmtree(run)


def test_it_is_said_with_everything_else(
    trained: Path, model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    alter(model)
    run = trained / "late-lora"
    for command, flags, part in (
        ("evaluate", ["--total", "9999"], "--total 9999"),
        ("mechanism", ["--total", "9999"], "--total 9999"),
        ("generate", ["--prompt", "river", "--new-tokens", "9999"], "--new-tokens 9999"),
    ):
        with pytest.raises(SystemExit):
            main([command, str(run), *flags])
        said = capsys.readouterr().err
        assert refusal(model, run) in said
        assert part in said


def test_a_model_trained_whole_writes_without_its_base_and_is_not_compared_with_another(
    trained: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alter(model)
    run = trained / "full"
    main(COMMANDS["generate"](run, run))
    for command in ("evaluate", "mechanism"):
        with pytest.raises(SystemExit):
            main(COMMANDS[command](run, run))
        assert refusal(model, run) in capsys.readouterr().err


def test_an_adapter_in_python_and_a_kept_epoch(trained: Path, model: Path, tmp_path: Path) -> None:
    names = [trained / "late-lora", trained / "late-lora" / "adapter", trained / "late-lora" / "epochs" / "001"]
    for name in names:
        load_any(str(name), device=torch.device("cpu"))
    alter(model)
    for name in names:
        with pytest.raises(UserError, match="its weights are not those that"):
            load_any(str(name), device=torch.device("cpu"))
    elsewhere = shutil.copytree(names[1], tmp_path / "elsewhere")
    load_any(str(elsewhere), device=torch.device("cpu"))


@dataclasses.dataclass(frozen=True)
class OneTrial:
    recipe: Recipe
    name: str = "trial"


def test_a_trial_on_other_weights_is_trained_anew(model: Path, world: tuple[str, str], tmp_path: Path) -> None:
    trial = OneTrial(recipe_for((str(model), world[1]), epochs=1, samples=13, alpha=8))
    first = train_trial(trial, tmp_path)
    resolved = OneTrial(first.run.recipe)
    assert train_trial(resolved, tmp_path).found
    alter(model)
    assert not train_trial(resolved, tmp_path).found
    assert train_trial(resolved, tmp_path).found
    (model / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read"):
        train_trial(resolved, tmp_path)
    assert first.run.result.is_dir(), "what cannot be compared is not thrown away"
