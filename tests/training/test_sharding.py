"""Training with the model divided among two and three real processes: what one process does, whatever happens."""

import dataclasses
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hyperfit.errors import UserError
from hyperfit.models.structure.layout import blocks_of
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.training.processes.pieces import Pieces, opened, piece_name
from hyperfit.training.processes.sharding import check_divisible
from hyperfit.training.train import train
from launched import job, launch
from small_runs import events, quiet, recipe_for, weights
from tiny_models import save_tiny, tiny_model

Fields = list[dict[str, object]]


class Runs(NamedTuple):
    """Recipes of one process, and the folder in which runs lie: NAME of one process, NAME-2 and NAME-3 of more."""

    folder: Path
    recipes: dict[str, Recipe]
    said: str
    """By the launcher whose second process was killed."""
    status: int


@pytest.fixture(scope="module")
def runs(world: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """All runs, of few launches, as each has to import torch.

    full: the head apart, probed; tied: the head is the embedding, gradients are clipped, and keys have two rows, fewer
    than there are processes; late: two blocks learn, in bf16. tied-2 is stopped in its second epoch; tied-2-3 and
    tied-2-1 go on with it in other numbers of processes. Two processes are launched as for DeepSpeed's ZeRO-3, three as
    for FSDP2. killed-3 loses its second process, and goes on in one.
    """
    folder = tmp_path_factory.mktemp("runs")
    tied = (str(save_tiny(folder / "narrow", tie_word_embeddings=True, num_key_value_heads=1, head_dim=2)), world[1])
    settings = {"batch_size": 6, "epochs": 2, "heldout": 0.0}
    recipes = {
        "full": recipe_for(world, method="full", **{**settings, "heldout": 0.1}),
        "tied": recipe_for(tied, method="full", clip=0.5, **settings),
        "late": recipe_for(world, method="late-full", precision="bf16", **settings),
    }
    for name, recipe in recipes.items():
        with pytest.MonkeyPatch.context() as patch:
            if name == "full":
                patch.setattr(torch.optim, "AdamW", torch.optim.SGD)
            train(recipe, folder / name, prefix_cache="off", notify=quiet)
    two, three = ({name: divided(recipe, count) for name, recipe in recipes.items()} for count in (2, 3))
    done = launch(
        folder / "two",
        2,
        [
            job(two["full"], folder / "full-2", plain=True),
            job(two["late"], folder / "late-2"),
            job(two["tied"], folder / "tied-2", at=4, signal=signal.SIGTERM),
        ],
        zero3=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for more in ("tied-2-3", "tied-2-1"):
        shutil.copytree(folder / "tied-2", folder / more)
    lost = launch(
        folder / "three",
        3,
        [
            job(three["full"], folder / "full-3", plain=True),
            job(two["tied"], folder / "tied-2-3"),
            job(three["tied"], folder / "killed-3", at=4, signal=signal.SIGKILL),
        ],
    )
    return Runs(folder, recipes, lost.stderr, lost.returncode)


def divided(recipe: Recipe, processes: int) -> Recipe:
    """The same updates, of so many processes."""
    return dataclasses.replace(recipe, batch_size=recipe.batch_size // processes)


def losses(run: Path) -> list[object]:
    """Of all epochs, in order, each once."""
    rows = [row for row in events(run) if row["event"] == "epoch"]
    assert [row["epoch"] for row in rows] == list(range(len(rows)))
    return [row["train_loss"] for row in rows[1:]]


def assert_like_one(runs: Runs, run: str, *, most: float) -> None:
    """The losses of a run of several processes are those of one, and so are its weights, but for ``most``."""
    name = run.split("-")[0].replace("killed", "tied")
    assert losses(runs.folder / run) == pytest.approx(losses(runs.folder / name), abs=most)
    one, several = weights(runs.folder / name), weights(runs.folder / run)
    assert one.keys() == several.keys()
    assert all(several[key].dtype == torch.float32 for key in one)


@pytest.mark.parametrize("run", ["full-2", "full-3"])
def test_divided_it_trains_as_in_one_process(runs: Runs, run: str) -> None:
    """By plain descent, in fp32: losses to 1e-5 nats, weights, what was probed, and the kind of every file."""
    assert_like_one(runs, run, most=1e-5)
    one, several = weights(runs.folder / "full"), weights(runs.folder / run)
    for key in one:
        torch.testing.assert_close(several[key], one[key], rtol=1e-4, atol=1e-5)
    for before, after in zip(events(runs.folder / "full"), events(runs.folder / run), strict=True):
        assert after == pytest.approx(before, abs=1e-4, nan_ok=True)
    for part in (".", "model"):
        files = [sorted(path.name for path in (runs.folder / name / part).iterdir()) for name in ("full", run)]
        assert files[0] == files[1]


def test_only_last_blocks_learn_and_compute_in_bf16(runs: Runs) -> None:
    """Losses to .01: norms are rounded where one process keeps them. What is frozen is the base's own, in fp32."""
    assert_like_one(runs, "late-2", most=0.01)
    base, trained = weights_of(Path(runs.recipes["late"].model)), weights(runs.folder / "late-2")
    moved = {key for key in trained if not torch.equal(base[key], trained[key])}
    assert moved == {key for key in trained if key.startswith(("model.layers.4", "model.layers.5", "model.norm"))}


def weights_of(model: Path) -> dict[str, torch.Tensor]:
    """Of a model's folder."""
    with safe_open(model / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict


def test_a_checkpoint_is_in_as_many_files_as_there_are_processes(runs: Runs) -> None:
    """And holds every parameter and moment once; nothing in it is pickled."""
    assert events(runs.folder / "tied-2")[-1]["reason"] == "interrupted"
    checkpoint = RunDir(runs.folder / "tied-2").newest_checkpoint(quiet)
    assert checkpoint is not None
    assert checkpoint.place["update"] == 5
    names = ["place.json", "sha256.json", piece_name(0, 2), piece_name(1, 2)]
    assert sorted(path.name for path in checkpoint.path.iterdir()) == names
    whole = weights_of(Path(runs.recipes["tied"].model))
    with opened(checkpoint.path) as saved:
        kinds = {name.partition("/")[0] for name in saved.names}
        for name, tensor in whole.items():
            for key in (f"parameter/{name}", f"optimizer/{name}/exp_avg", f"optimizer/{name}/exp_avg_sq"):
                rows = [file.get_slice(key).get_shape() for file in saved.files]
                assert [sum(shape[0] for shape in rows), *rows[0][1:]] == list(tensor.shape)
    assert kinds == {"parameter", "optimizer"}


def test_a_run_goes_on_in_another_number_of_processes(runs: Runs) -> None:
    """Stopped in two, ended in three and in one, with the same updates: losses to 1e-4."""
    said: list[str] = []
    train(divided(runs.recipes["tied"], 2), runs.folder / "tied-2-1", resume=True, notify=said.append)
    assert any(line.startswith("processes was 2, is now 1") for line in said)
    for run in ("tied-2-3", "tied-2-1"):
        assert_like_one(runs, run, most=1e-4)
        assert not (runs.folder / run / "checkpoints").exists()


def test_a_killed_process_ends_all_and_the_run_goes_on(runs: Runs) -> None:
    run = runs.folder / "killed-3"
    assert runs.status != 0
    assert (
        "another process of this training has ended before its time; repeat the command with --resume, which"
        in runs.said
    )
    assert not list(run.rglob("*.part"))
    assert [row["event"] for row in events(run)] == ["epoch", "epoch"]
    train(divided(runs.recipes["tied"], 3), run, resume=True, notify=quiet)
    assert_like_one(runs, "killed-3", most=1e-4)


def test_a_model_that_cannot_be_divided_is_refused() -> None:
    shared, scalar = tiny_model(), tiny_model()
    blocks = blocks_of(shared)
    blocks[1].mlp = blocks[0].mlp
    with pytest.raises(UserError, match=r"llama: its blocks share weights, .*launch with --multi_gpu"):
        check_divisible(shared)
    blocks_of(scalar)[0].register_parameter("scale", torch.nn.Parameter(torch.ones(())))
    with pytest.raises(UserError, match=r"llama: has weights that are single numbers, .*launch with --multi_gpu"):
        check_divisible(scalar)


@pytest.mark.parametrize("cuts", [[7], [4, 3], [3, 3, 1], [3, 0, 4]])
def test_rows_are_read_from_whichever_file_holds_them(cuts: list[int], tmp_path: Path) -> None:
    rows = torch.arange(14.0).reshape(7, 2)
    for place, piece in enumerate(rows.split(cuts)):
        save_file({"rows": piece.contiguous(), "step": torch.tensor(3.0)}, tmp_path / piece_name(place, len(cuts)))
    read, step = torch.zeros(7, 2), torch.zeros(())
    with opened(tmp_path) as saved:
        assert isinstance(saved, Pieces)
        assert saved.names == {"rows", "step"}
        saved.read_into("rows", read)
        saved.read_into("step", step)
    assert torch.equal(read, rows)
    assert step == 3
