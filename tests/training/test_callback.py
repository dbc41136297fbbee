"""HyperfitCallback in transformers' own Trainer: where it ends training, what it sees, what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainingArguments

from hyperfit import HyperfitCallback, UserError, continue_contexts
from hyperfit.metrics.text.diversity import type_token_ratio
from hyperfit.models.loading import load_model, load_tokenizer
from tiny_models import save_tiny

CPU = torch.device("cpu")
TEXTS = ["the cat sat on the mat and the dog lay by the door", "a bird sang in the old tree until the rain came down"]


class Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Token rows as a Trainer takes them."""

    def __init__(self, rows: list[list[int]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        ids = torch.tensor(self.rows[place])
        return {"input_ids": ids, "labels": ids}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), max_position_embeddings=256)


def trained(
    folder: Path, callback: HyperfitCallback, rows: list[list[int]], tmp_path: Path, **settings: Any
) -> Trainer:
    given = {"num_train_epochs": 40, "learning_rate": 1e-2, "per_device_train_batch_size": 1, "logging_steps": 3}
    arguments = TrainingArguments(
        str(tmp_path / "out"), report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
        lr_scheduler_type="constant", seed=0, **(given | settings),
    )  # fmt: skip
    trainer = Trainer(
        load_model(str(folder), device=CPU, dtype=torch.float32),
        arguments,
        train_dataset=Rows(rows),
        processing_class=load_tokenizer(str(folder)),
        callbacks=[callback],
    )
    trainer.train()
    return trainer


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[list[int]]:
    tokenizer = load_tokenizer(str(folder))
    return [tokenizer(text)["input_ids"][:12] for text in (TEXTS * 2)[:4]]


@pytest.mark.parametrize("logging_steps", [1, 2, 3, 100])
def test_training_ends_with_the_first_epoch_whose_mean_loss_is_low_enough(
    folder: Path, rows: list[list[int]], tmp_path: Path, logging_steps: int
) -> None:
    """However often the Trainer logs: the epoch's loss is the mean over its steps."""
    told: list[str] = []
    callback = HyperfitCallback(stop_loss=0.5, notify=told.append)
    trainer = trained(folder, callback, rows, tmp_path, logging_steps=logging_steps)
    losses = [entry["train_loss"] for entry in callback.history]
    assert callback.reason == "loss"
    assert losses[-1] <= 0.5 < min(losses[:-1])
    assert trainer.state.global_step == 4 * len(losses)
    assert [entry["epoch"] for entry in callback.history] == list(range(1, len(losses) + 1))
    every = HyperfitCallback(stop_loss=None, notify=told.append)
    alone = trained(folder, every, rows, tmp_path, logging_steps=1, num_train_epochs=len(losses))
    steps = [entry["loss"] for entry in alone.state.log_history if "loss" in entry]
    means = [sum(steps[start : start + 4]) / 4 for start in range(0, len(steps), 4)]
    assert losses == pytest.approx(means, abs=1e-3)
    assert every.reason is None


def test_what_is_written_is_looked_at_before_and_after_each_second_epoch_and_at_the_end(
    folder: Path, rows: list[list[int]], tmp_path: Path
) -> None:
    contexts = [row[:4] for row in rows[:2]]
    callback = HyperfitCallback(
        contexts, rows, stop_loss=None, stop_copying=None, every=2, new_tokens=100, notify=lambda line: None
    )
    trainer = trained(folder, callback, rows, tmp_path, num_train_epochs=4)
    assert [("ttr" in entry, entry["epoch"]) for entry in callback.history] == [
        (True, 0), (False, 1), (True, 2), (False, 3), (True, 4),
    ]  # fmt: skip
    written = continue_contexts(trainer.model, trainer.processing_class, contexts, new_tokens=100)
    assert callback.history[-1]["ttr"] == pytest.approx(sum(map(type_token_ratio, written)) / 2, abs=1e-6)
    assert callback.history[0]["train_loss"] is None
    assert callback.history[-1]["sample"]


def test_a_model_that_recites_is_stopped(folder: Path, tmp_path: Path) -> None:
    row = load_tokenizer(str(folder))(" ".join(TEXTS))["input_ids"][:40]
    told: list[str] = []
    callback = HyperfitCallback([row[:6]], [row], stop_loss=None, new_tokens=30, notify=told.append)
    trained(folder, callback, [row], tmp_path, num_train_epochs=80, learning_rate=5e-3)
    assert callback.reason == "copying"
    assert callback.history[-1]["long_overlap_share"] == 1
    assert callback.history[-1]["longest_overlap"] > 10
    assert all(entry["long_overlap_share"] == 0 for entry in callback.history[:-1])
    assert ">10: 100 %" in told[-1]


def test_weights_that_would_not_move_are_refused_before_the_first_update(
    folder: Path, rows: list[list[int]], tmp_path: Path
) -> None:
    callback = HyperfitCallback()
    model = load_model(str(folder), device=CPU, dtype=torch.bfloat16)
    trainer = Trainer(
        model,
        TrainingArguments(str(tmp_path / "out"), report_to=[], use_cpu=True, disable_tqdm=True),
        train_dataset=Rows(rows),
        callbacks=[callback],
    )
    with pytest.raises(UserError, match="held in bfloat16"):
        trainer.train()


def test_dropout_is_said(folder: Path, rows: list[list[int]], tmp_path: Path) -> None:
    told: list[str] = []
    model = load_model(str(folder), device=CPU, dtype=torch.float32)
    for block in model.modules():
        if hasattr(block, "attention_dropout"):
            block.attention_dropout = 0.1
    arguments = TrainingArguments(str(tmp_path / "out"), report_to=[], use_cpu=True, disable_tqdm=True, max_steps=1)
    callback = HyperfitCallback(notify=told.append)
    Trainer(model, arguments, train_dataset=Rows(rows), callbacks=[callback]).train()
    assert "drops out at random (up to 0.1)" in told[0]


def test_every_bad_value_is_named() -> None:
    with pytest.raises(UserError) as refused:
        HyperfitCallback([[1], []], stop_loss=0, stop_copying=2, every=0, new_tokens=0)
    assert [problem.split(":")[0] for problem in refused.value.problems] == [
        "stop_loss 0", "stop_copying 2", "every 0", "new_tokens 0", "contexts", "training",
    ]  # fmt: skip
