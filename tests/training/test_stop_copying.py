"""A run whose texts begin to recite ends with the last epoch that did not: as a run that was told to end there."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperfit.errors import UserError
from hyperfit.report.pages.verdicts import training_verdict
from hyperfit.runs.directory import RunDir
from hyperfit.training import probes
from hyperfit.training.train import train
from small_runs import assert_same, events, quiet, recipe_for

Plant = Callable[[list[float]], None]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Let the probes, the first of which comes before training, find so large shares of reciting texts."""
    real = probes.greedy_text

    def planted(shares: list[float]) -> None:
        left = iter(shares)
        monkeypatch.setattr(
            probes,
            "greedy_text",
            lambda *args: {**real(*args), "long_overlap_share": next(left)},  # type: ignore[arg-type]
        )

    return planted


@pytest.mark.parametrize("method", ["late-lora", "full"])
def test_the_result_is_the_last_epoch_that_does_not_recite(
    world: tuple[str, str], tmp_path: Path, plant: Plant, method: str
) -> None:
    said: list[str] = []
    plant([0.0, 0.1, 0.25, 0.26])  # a quarter is borne, more is not
    run = train(recipe_for(world, method=method, epochs=9), tmp_path / "run", notify=said.append)
    plant([0.0, 0.1, 0.25])
    train(recipe_for(world, method=method, epochs=2), tmp_path / "short", notify=quiet)
    assert_same(run.path, tmp_path / "short")
    assert events(run.path) == [
        *events(tmp_path / "short")[:-1],
        {"event": "recited", "epoch": 3, "step": 12},
        {
            "event": "end",
            "epoch": 2,
            "step": 8,
            "reason": "copying",
            "train_loss": run.events("epoch")[-1]["train_loss"],
        },
    ]
    assert any(
        "texts of epoch 3 recite training data (--stop-copying 0.25): the result is epoch 2" in line for line in said
    )
    assert "began to recite training data (more than 25 % of them)" in training_verdict(
        run.recipe, run.end, run.events("epoch")
    )


def test_a_reciting_epoch_is_no_goal_reached(world: tuple[str, str], tmp_path: Path, plant: Plant) -> None:
    """The loss that it was to come to is reached in the epoch that recites: the one before is taken."""
    plant([0.0, 0.0, 0.0, 0.0])
    losses = [row["train_loss"] for row in train(recipe_for(world), tmp_path / "a", notify=quiet).events("epoch")[1:]]
    plant([0.0, 0.0, 0.0, 1.0])
    run = train(recipe_for(world, epochs=9, stop_loss=losses[2]), tmp_path / "b", notify=quiet)
    assert run.end is not None
    assert (run.end["reason"], run.end["epoch"], run.end["train_loss"]) == ("copying", 2, losses[1])


def test_only_probed_epochs_are_gone_back_to(world: tuple[str, str], tmp_path: Path, plant: Plant) -> None:
    """Probed at 0, 3, 6 and 9, of which the last recites; checkpoints of 7 and 8 are there, and that of 6 lives on."""
    plant([0.0, 0.0, 0.0, 1.0])
    run = train(recipe_for(world, epochs=20, greedy_every=3), tmp_path / "run", notify=quiet)
    plant([0.0, 0.0, 0.0])
    train(recipe_for(world, epochs=6, greedy_every=3), tmp_path / "short", notify=quiet)
    assert_same(run.path, tmp_path / "short")
    assert run.events("epoch")[-1]["epoch"] == 6
    plant([0.0, 0.0, 1.0])
    rare = train(recipe_for(world, epochs=20, greedy_every=3, checkpoint_every=50), tmp_path / "rare", notify=quiet)
    assert rare.events("epoch")[-1]["epoch"] == 3


def test_texts_that_recite_from_the_start_end_it_at_once(world: tuple[str, str], tmp_path: Path, plant: Plant) -> None:
    plant([1.0, 1.0])
    run = train(recipe_for(world, epochs=9), tmp_path / "run", notify=quiet)
    assert [row["epoch"] for row in run.events("epoch")] == [0, 1]
    assert run.end is not None
    assert run.end["reason"] == "copying"


def test_where_no_epoch_was_probed_before_the_one_that_recites_is_the_result(
    world: tuple[str, str], tmp_path: Path, plant: Plant
) -> None:
    """Epochs 1 and 2 have checkpoints, but nobody knows what they write."""
    said: list[str] = []
    plant([0.0, 1.0])
    run = train(recipe_for(world, epochs=9, greedy_every=3), tmp_path / "run", notify=said.append)
    plant([0.0, 1.0])
    short = train(recipe_for(world, epochs=3, greedy_every=3, stop_copying=None), tmp_path / "short", notify=quiet)
    assert_same(run.path, short.path)
    assert run.events("epoch")[-1]["epoch"] == 3
    assert run.events("recited") == [{"event": "recited", "epoch": 3, "step": 12}]
    assert any(
        "epoch 3 recite training data (--stop-copying 0.25): no epoch before it was probed, so it is the result" in line
        for line in said
    )


@pytest.mark.parametrize("spoil", [lambda path: (path / "state.safetensors").write_bytes(b""), shutil.rmtree])
def test_a_checkpoint_to_go_back_to_that_is_damaged_or_gone(
    world: tuple[str, str],
    tmp_path: Path,
    plant: Plant,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], object],
) -> None:
    """Epoch 2 was the last that does not recite; that of epoch 1 is sound, but is not what was promised."""
    real = RunDir.discard_checkpoints

    def spoiling(self: RunDir, after: int | None = None) -> None:
        real(self, after)
        spoil(self.path / "checkpoints" / "update-00000008")

    monkeypatch.setattr(RunDir, "discard_checkpoints", spoiling)
    plant([0.0, 0.0, 0.0, 1.0])
    with pytest.raises(UserError) as caught:
        train(recipe_for(world, epochs=9), tmp_path / "run", notify=quiet)
    assert str(caught.value) == (
        f"{tmp_path / 'run'}: the checkpoint to go back to (update 8) is damaged; train again in a new --output"
    )
    run = RunDir(tmp_path / "run")
    assert run.end is None
    with pytest.raises(UserError, match="training has not ended"):
        _ = run.result


@pytest.mark.parametrize("changes", [{"stop_copying": None}, {"greedy_every": 0}])
def test_nobody_has_to_mind(world: tuple[str, str], tmp_path: Path, plant: Plant, changes: dict[str, None]) -> None:
    plant([1.0] * 4)
    run = train(recipe_for(world, **changes), tmp_path / "run", notify=quiet)
    assert run.end is not None
    assert (run.end["reason"], run.end["epoch"]) == ("epochs", 3)


def test_an_interrupted_run_still_knows_where_to_go_back(
    world: tuple[str, str], tmp_path: Path, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in epoch 3, when epoch 2 was the last that was probed; epoch 4 recites."""
    recipe = recipe_for(world, epochs=9, greedy_every=2)
    plant([0.0, 0.0, 1.0])
    whole = train(recipe, tmp_path / "whole", notify=quiet)
    from hyperfit.training.loop import Loop

    update = Loop.update

    def stopping(self: Loop, *args: object) -> bool:
        if self.state.update == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(self, *args)  # type: ignore[arg-type]

    plant([0.0, 0.0])
    monkeypatch.setattr(Loop, "update", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", notify=quiet)
    monkeypatch.setattr(Loop, "update", update)
    plant([1.0])
    run = train(recipe, tmp_path / "run", resume=True, notify=quiet)
    assert_same(run.path, whole.path)
    assert events(run.path) == events(whole.path)


def test_killed_while_going_back_it_goes_back_again(
    world: tuple[str, str], tmp_path: Path, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_for(world, epochs=9)
    plant([0.0, 0.0, 0.0, 1.0])
    whole = train(recipe, tmp_path / "whole", notify=quiet)

    def killed(self: RunDir, size: int) -> None:
        raise MemoryError("killed")

    plant([0.0, 0.0, 0.0, 1.0])
    with monkeypatch.context() as patch:
        patch.setattr(RunDir, "rewind_events", killed)
        with pytest.raises(MemoryError):
            train(recipe, tmp_path / "run", notify=quiet)
    plant([1.0])
    run = train(recipe, tmp_path / "run", resume=True, notify=quiet)
    assert_same(run.path, whole.path)
    assert events(run.path) == events(whole.path)


def test_the_card_of_a_kept_epoch_says_what_it_copies(world: tuple[str, str], tmp_path: Path, plant: Plant) -> None:
    """Epochs are kept, probed for that, and not judged: epoch 2 recites in half of its two texts, epoch 4 ends it."""
    plant([0.0, 0.5, 0.0])
    run = train(recipe_for(world, heldout=0.3, epochs=4, keep_every=2, greedy_every=4), tmp_path / "run", notify=quiet)
    assert run.end is not None
    assert run.end["epoch"] == 4
    for kept, count in ((run.kept[2], 1), (run, 0)):
        mean = kept.events("epoch")[-1]["longest_overlap"]
        card = (kept.result / "README.md").read_text()
        assert f"tokens on average, more than 10 in {count} of 2 texts" in card
        assert f"\n\nIts last probe: longest run of training data in a greedy text: {mean:.1f} tokens" in card
    assert run.kept[2].events("epoch")[-1]["long_overlap_share"] == 0.5


def test_a_share_is_a_share(world: tuple[str, str]) -> None:
    with pytest.raises(UserError, match=r"--stop-copying 1\.5: give a share from 0 to 1, or None"):
        recipe_for(world, stop_copying=1.5)
