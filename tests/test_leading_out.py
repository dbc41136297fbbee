"""Folders of somebody else's that lead out of themselves: by links, or by names of files. Nothing outside is read."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import load_file, save_file

from hyperfit.cli import main
from hyperfit.data.reading.sources import read_documents
from hyperfit.errors import UserError
from hyperfit.image.reading.decode import Frame
from hyperfit.image.reading.sources import read_pictures
from hyperfit.models.files.weights import weight_files, weights_fingerprint
from hyperfit.models.loading import load_config, load_model, load_tokenizer, quiet
from hyperfit.prefer.items.texts import texts_of_runs
from hyperfit.prefer.joined import read_evaluation
from hyperfit.prefer.reading.files import read_judgements
from hyperfit.prefix.disk.store import ABOUT, STATES, digest_of, entries, read_entry
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from made_runs import ENVIRONMENT
from simulated_studies import judgement
from tiny_models import save_tiny, tiny_model

FRAME = Frame(8, 8)


def refused(read: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        read()
    (problem,) = caught.value.problems
    return problem


def told(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that is refused says."""
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    return capsys.readouterr().err


def moved(file: Path, place: Path) -> Path:
    """The file elsewhere, with a link to it where it was."""
    place.parent.mkdir(parents=True, exist_ok=True)
    file.rename(place)
    file.symlink_to(place)
    return place


def hub(repository: Path, files: Path) -> Path:
    """The snapshot of a repository in the hub's cache that holds the files of a folder, which is no more."""
    snapshot = repository / "snapshots" / "0123abcd"
    (repository / "blobs").mkdir(parents=True)
    for number, file in enumerate(sorted(path for path in files.rglob("*") if path.is_file())):
        place = snapshot / file.relative_to(files)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.rename(repository / "blobs" / f"{number:040x}")
        up = "../" * (2 + len(file.relative_to(files).parents) - 1)
        place.symlink_to(f"{up}blobs/{number:040x}")
    shutil.rmtree(files)
    return snapshot


def texts(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a.txt").write_text("A goat.")
    (folder / "b.jsonl").write_text('{"text": "A map."}\n')
    return folder


def read_texts(folder: Path) -> list[str]:
    return [document.text for document in read_documents(str(folder), notify=lambda line: None)[0]]


def test_links_out_of_a_folder_of_texts_are_refused(tmp_path: Path) -> None:
    folder = texts(tmp_path / "data")
    place = moved(folder / "a.txt", tmp_path / "secret" / "a.txt")
    moved(folder / "b.jsonl", tmp_path / "secret" / "b.jsonl")
    message = refused(lambda: read_texts(folder))
    assert message.startswith(f"--data {folder}/a.txt: leads out of {folder}, to {place}, and 1 more like it; ")
    assert "put a copy (or a hard link) there, or give what it leads to" in message
    assert read_texts(place.parent) == ["A goat.", "A map."]
    assert read_texts(folder / "a.txt") == ["A goat."], "a link that is given itself"


@pytest.mark.parametrize("name", ["more", "more/deeper", ".hidden/more"])
def test_links_to_folders_outside_are_refused_where_they_would_be_read(tmp_path: Path, name: str) -> None:
    folder = texts(tmp_path / "data")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(texts(tmp_path / "secret"))
    if name.startswith("."):
        assert len(read_texts(folder)) == 2
    else:
        assert f"{name}: leads out of {folder}, to {tmp_path}/secret;" in refused(lambda: read_texts(folder))


def test_links_that_stay_in_a_folder_are_read(tmp_path: Path) -> None:
    folder = texts(tmp_path / "data")
    (folder / "deep").mkdir()
    (folder / "deep" / "c.txt").symlink_to("../a.txt")
    (folder / "same").symlink_to("deep")
    assert read_texts(folder) == ["A goat.", "A map.", "A goat."], "folders that links lead to are read where they lie"
    (tmp_path / "link").symlink_to(folder)
    assert len(read_texts(tmp_path / "link")) == 3, "the folder itself may be a link"
    (folder / "notes.pdf").symlink_to("/etc/hostname")
    assert len(read_texts(folder)) == 3, "nobody reads that"


def test_a_link_out_that_leads_nowhere_is_no_hint_of_what_is_there(tmp_path: Path) -> None:
    folder = texts(tmp_path / "data")
    (folder / "c.txt").symlink_to("../gone.txt")
    (folder / "d.txt").symlink_to("d.txt")
    assert f"{folder}/c.txt: leads out" in refused(lambda: read_texts(folder))
    (folder / "c.txt").unlink()
    assert f"{folder}/d.txt: cannot be read" in refused(lambda: read_texts(folder)), "a link to itself"


def test_the_command_line_names_the_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = texts(tmp_path / "data")
    moved(folder / "a.txt", tmp_path / "a.txt")
    out = tmp_path / "run"
    training = ["train", "builtin:tiny", "--data", str(folder), "-o", str(out), "--device", "cpu"]
    assert told(training, capsys).startswith(f"hyperfit: --data {folder}/a.txt: leads out of {folder}")
    assert not out.exists()
    writing = ["generate", "builtin:tiny", "--prompts", str(folder)]
    assert told(writing, capsys).startswith(f"hyperfit: --prompts {folder}/a.txt: leads out of {folder}")


def test_a_data_set_in_the_cache_of_the_hub_is_read(tmp_path: Path) -> None:
    files = texts(tmp_path / "files")
    (files / "deep").mkdir()
    (files / "deep" / "c.txt").write_text("A kettle.")
    repository = tmp_path / "hub" / "datasets--org--name"
    snapshot = hub(repository, files)
    assert read_texts(snapshot) == ["A goat.", "A map.", "A kettle."]
    assert read_texts(snapshot / "deep") == ["A kettle."]
    (tmp_path / "link").symlink_to(tmp_path / "hub")
    assert len(read_texts(tmp_path / "link" / "datasets--org--name" / "snapshots" / "0123abcd")) == 3
    blob = repository / "blobs" / f"{0:040x}"
    moved(blob, tmp_path / "hub" / "models--org--other" / "blobs" / "a")
    assert "a.txt: leads out of" in refused(lambda: read_texts(snapshot)), "another repository is outside"


def test_links_out_of_a_folder_of_pictures_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8), "teal").save(folder / name)
    snapshot = hub(tmp_path / "datasets--org--name", shutil.copytree(folder, tmp_path / "copy"))
    assert np.array_equal(
        read_pictures(str(snapshot), FRAME).train.pixels, read_pictures(str(folder), FRAME).train.pixels
    )
    place = moved(folder / "a.png", tmp_path / "a.png")
    message = refused(lambda: read_pictures(str(folder), FRAME, skip=True))
    assert message.startswith(f"--data {folder}/a.png: leads out of {folder}, to {place}; ")


MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


@pytest.mark.parametrize("name", [*MODEL_FILES, "chat_template.jinja", "additional_chat_templates/one.jinja"])
def test_links_out_of_the_folder_of_a_model_are_refused(tmp_path: Path, name: str) -> None:
    folder = save_tiny(tmp_path / "model")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).touch()
    place = moved(folder / name, tmp_path / "secret" / Path(name).name)
    for read in (load_config, load_tokenizer, weight_files, weights_fingerprint, whole_model):
        message = refused(lambda read=read: read(str(folder)))  # type: ignore[misc]
        assert f"{folder / name}: leads out of {folder}, to {place}; " in message


def whole_model(name: str) -> object:
    return load_model(name, device=torch.device("cpu"), dtype=torch.float32)


def test_a_model_in_the_cache_of_the_hub_is_read(tmp_path: Path) -> None:
    expected = weights_fingerprint(str(save_tiny(tmp_path / "model")))
    tiny_model().save_pretrained(tmp_path / "model")
    snapshot = str(hub(tmp_path / "models--org--name", tmp_path / "model"))
    assert weights_fingerprint(snapshot) == expected
    assert load_tokenizer(snapshot).encode("goat")
    assert whole_model(snapshot)


def sharded(folder: Path) -> Path:
    """A model in several files; their index."""
    save_tiny(folder)
    (folder / "model.safetensors").unlink()
    tiny_model().save_pretrained(folder, max_shard_size="40KB")
    return folder / "model.safetensors.index.json"


def first_shard(index: Path) -> Path:
    return index.parent / min(json.loads(index.read_text())["weight_map"].values())


def renamed(index: Path, new: str, other: str | None = None) -> None:
    """Let the index, or one with another name, call its first shard otherwise."""
    found = json.loads(index.read_text())
    first = min(found["weight_map"].values())
    named = {tensor: new if shard == first else shard for tensor, shard in found["weight_map"].items()}
    index.with_name(other or index.name).write_text(json.dumps({**found, "weight_map": named}))


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/secret.safetensors", "a/../../b", "C:\\a", "..\\a", "a\0b", "a\ud800b"]
)
def test_shards_that_lead_out_of_the_folder_of_a_model_are_refused(tmp_path: Path, name: str) -> None:
    index = sharded(tmp_path / "model")
    assert whole_model(str(index.parent))
    shutil.copy(first_shard(index), tmp_path / "secret.safetensors")
    renamed(index, name)
    for read in (load_config, weight_files, weights_fingerprint, whole_model):
        message = refused(lambda read=read: read(str(index.parent)))  # type: ignore[misc]
        assert message == (
            f"{index}: names {name!r} as a file of weights, which leads out of the model's folder; put it into that "
            "folder, and correct its name there"
        )


def test_shards_behind_links_and_by_other_indexes_are_refused(tmp_path: Path) -> None:
    index = sharded(tmp_path / "model")
    folder, shard = index.parent, first_shard(index)
    renamed(index, "more/a.safetensors")
    (tmp_path / "secret").mkdir()
    shutil.copy(shard, tmp_path / "secret" / "a.safetensors")
    (folder / "more").symlink_to(tmp_path / "secret")
    assert f"{folder}/more/a.safetensors: leads out of {folder}" in refused(lambda: whole_model(str(folder)))
    (folder / "more").unlink()
    shutil.copytree(tmp_path / "secret", folder / "more")
    assert whole_model(str(folder)), "a folder inside may hold shards"
    renamed(index, "../secret/a.safetensors", "other.safetensors.index.json")
    assert "other.safetensors.index.json: names '../secret" in refused(lambda: whole_model(str(folder)))


def test_the_config_names_no_weights_by_a_path(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "model.safetensors").rename(folder / "mine.safetensors")
    for name in ("../model/mine.safetensors", str(folder / "mine.safetensors"), 3):
        (folder / "config.json").write_text(json.dumps({**config, "transformers_weights": name}))
        assert f"transformers_weights in its config is {name!r}; " in refused(lambda: whole_model(str(folder)))
    (folder / "config.json").write_text(json.dumps({**config, "transformers_weights": "mine.safetensors"}))
    assert whole_model(str(folder))


def test_the_shards_of_a_model_of_the_hub_may_not_lead_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    index = sharded(tmp_path / "model")
    shutil.copy(first_shard(index), tmp_path / "secret.safetensors")
    kept = shutil.copytree(index.parent, tmp_path / "kept")
    renamed(index, "../../../secret.safetensors")
    for name, files in (("evil", index.parent), ("good", kept)):
        hub(tmp_path / f"models--org--{name}", files)
        (tmp_path / f"models--org--{name}" / "refs").mkdir()
        (tmp_path / f"models--org--{name}" / "refs" / "main").write_text("0123abcd")
    assert whole_model("org/good")
    for read in (weight_files, whole_model):
        assert "names '../../../secret.safetensors' as a file of weights" in refused(lambda: read("org/evil"))  # noqa: B023


def made_run(path: Path) -> RunDir:
    run = RunDir.create(path, Recipe(model="builtin:tiny", data="builtin:fiction"), ENVIRONMENT)
    run.append({"event": "end", "reason": "epochs", "epoch": 1, "step": 4})
    (path / "samples").mkdir()
    row = {"context": "a", "continuation": "b", "model": "base", "decoding": "greedy"}
    (path / "samples" / "base-greedy.jsonl").write_text(json.dumps(row) + "\n")
    (path / "evaluation.json").write_text('{"conditions": {}}')
    return run


@pytest.mark.parametrize("name", ["events.jsonl", "environment.json", "samples/base-greedy.jsonl", "samples", "model"])
def test_links_out_of_the_folder_of_a_run_are_refused(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_run(tmp_path / "run").path
    (folder / "model").mkdir()
    assert RunDir.open(folder).end
    (tmp_path / "link").symlink_to(folder)
    assert RunDir.open(tmp_path / "link").end, "the folder itself may be a link"
    place = moved(folder / name, tmp_path / "secret" / "file")
    before = place.read_bytes() if place.is_file() else b""
    message = f"{folder / name}: leads out of {folder}, to {place}; "
    resumed = ["train", "builtin:tiny", "--data", "builtin:fiction", "-o", str(folder), "--resume", "--device", "cpu"]
    for command in (["report", str(folder)], ["generate", str(folder), "--prompt", "a"], resumed):
        assert message in told(command, capsys)
    for read in (texts_of_runs, lambda folders: read_evaluation(folders[0])):
        assert message in refused(lambda read=read: read([folder]))  # type: ignore[misc]
    assert not place.is_file() or place.read_bytes() == before
    assert not (folder / "report.html").exists()


CONTENTS = re.findall(
    r"`([^` ]+)`",
    "".join(
        re.findall(r"^\| (`.+?) \|", Path("docs/reference/run-folder.md").read_text().partition("## events")[0], re.M)
    ),
)


def test_a_link_that_nobody_reads_is_let_be(tmp_path: Path) -> None:
    """A run's other files are read: its log, its samples and its evaluation."""
    folder = made_run(tmp_path / "run").path
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (folder / "notes.txt").symlink_to(tmp_path / "disk" / "notes.txt")
    (folder / "mine").symlink_to(tmp_path / "disk")
    (folder / "old" / "model").mkdir(parents=True)
    (folder / "old" / "model" / "weights.bin").symlink_to("/etc/hostname")
    assert RunDir.open(folder).end
    assert texts_of_runs([folder]).keys() == {"base/greedy"}
    assert read_evaluation(folder) == {"conditions": {}}


@pytest.mark.parametrize("name", [*CONTENTS, "Evaluation.json"])
def test_whatever_the_documentation_says_is_of_a_run_may_not_lead_out(tmp_path: Path, name: str) -> None:
    """Also a file in one of its folders, and a folder that a link of the run leads to, in it."""
    assert len(CONTENTS) > 20
    folder = made_run(tmp_path / "run").path
    place = folder / name.replace("*", "4").rstrip("/")
    place.parent.mkdir(exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    secret = tmp_path / "secret" if name.endswith("/") else tmp_path / "secret.txt"
    secret.mkdir() if name.endswith("/") else secret.write_text("{}")
    place.symlink_to(secret)
    assert f"{place}: leads out of {folder}, to {secret}" in refused(lambda: RunDir.open(folder))
    if name.endswith("/"):
        place.unlink()
        (folder / "elsewhere" / "deep").mkdir(parents=True)
        place.symlink_to("elsewhere")
        (folder / "elsewhere" / "round").symlink_to(".")
        assert RunDir.open(folder)
        (folder / "elsewhere" / "deep" / "a.jsonl").symlink_to(secret)
        assert f"{place}/deep/a.jsonl: leads out of {folder}, to {secret}" in refused(lambda: RunDir.open(folder))


def test_blobs_on_another_disk_are_read_in_the_own_cache_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another's cache they may lead to whatever its maker likes; then it is said what to do, and that helps."""
    cache, disk = tmp_path / "hub", tmp_path / "disk"
    expected = weights_fingerprint(str(save_tiny(tmp_path / "model")))
    tiny_model().save_pretrained(tmp_path / "model")
    repository = cache / "models--org--name"
    snapshot = str(hub(repository, tmp_path / "model"))
    disk.mkdir()
    moved(repository / "blobs", disk / "blobs")
    message = refused(lambda: weights_fingerprint(snapshot))
    assert message.endswith(
        f"{repository}/blobs is a link; move all of {repository} to where it leads and link to that, or set "
        f"HF_HUB_CACHE={cache} if that cache is yours"
    )

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    assert weights_fingerprint(snapshot) == expected
    assert load_tokenizer(snapshot).encode("goat")
    assert whole_model(snapshot)
    place = moved(disk / "blobs" / f"{0:040x}", tmp_path / "secret" / "file")
    message = refused(lambda: weights_fingerprint(snapshot))
    assert f"leads out of {snapshot}, to {place}" in message
    assert message.endswith("put a copy (or a hard link) there, or give what it leads to"), "that cache is set already"
    place.rename(disk / "blobs" / "again")
    (disk / "blobs" / f"{0:040x}").unlink()
    (disk / "blobs" / "again").rename(disk / "blobs" / f"{0:040x}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))

    (repository / "blobs").unlink()
    (disk / "blobs").rename(repository / "blobs")
    moved(repository, disk / "models--org--name")
    assert weights_fingerprint(snapshot) == expected, "as the message says"


def test_the_base_model_of_an_adapter_may_lie_anywhere_but_not_its_files(trained: Path, tmp_path: Path) -> None:
    adapter = shutil.copytree(trained / "adapter", tmp_path / "adapter")
    assert load_any(adapter, device="cpu")
    place = moved(adapter / "adapter_model.safetensors", tmp_path / "weights")
    assert f"{adapter}/adapter_model.safetensors: leads out of {adapter}, to {place}; " in refused(
        lambda: load_any(adapter, device="cpu")
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, and an adapter for it that names it by its whole path."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("trained")
    save_tiny(folder / "base")
    with quiet():
        model = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=["q_proj"]))
        model.peft_config["default"].base_model_name_or_path = str(folder / "base")
        model.save_pretrained(folder / "adapter")
    return folder


def test_checksums_of_a_checkpoint_name_no_file_elsewhere(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    tensors = {"a": torch.zeros(2)}
    run.save_checkpoint(4, {"epoch": 1}, lambda folder: save_file(tensors, folder / "state.safetensors"))
    (sums,) = run.path.glob("checkpoints/*/sha256.json")
    found = run.newest_checkpoint(lambda line: None)
    assert found is not None
    assert load_file(found.path / "state.safetensors").keys() == {"a"}
    named = json.loads(sums.read_text())
    sums.write_text(json.dumps({**named, "../../../recipe.json": "0"}))
    told: list[str] = []
    with pytest.raises(UserError, match="all its checkpoints are damaged"):
        run.newest_checkpoint(told.append)
    assert "its checksums do not match" in told[0]


def test_links_out_of_a_folder_of_judgements_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "judgements"
    folder.mkdir()
    for judge in "ab":
        (folder / f"{judge}.jsonl").write_text(json.dumps(asdict(judgement(judge, 0, "first"))) + "\n")
    (folder / "c.jsonl").symlink_to("b.jsonl")
    assert "has judged item" in refused(lambda: read_judgements([folder])), "a link inside is read"
    (folder / "c.jsonl").unlink()
    place = moved(folder / "b.jsonl", tmp_path / "b.jsonl")
    message = refused(lambda: read_judgements([folder]))
    assert message.startswith(f"{folder}/b.jsonl: leads out of {folder}, to {place}; ")
    assert len(read_judgements([folder / "a.jsonl", folder / "b.jsonl"]).people) == 2


def test_a_prefix_cache_whose_states_lie_elsewhere_is_none(tmp_path: Path) -> None:
    entry = tmp_path / "0123456789abcdef"
    entry.mkdir()
    about = {"key": {}, "states": {"bytes": 4}}
    (entry / ABOUT).write_text(json.dumps({**about, "digest": digest_of(about)}))
    (entry / STATES).write_bytes(b"0123")
    assert [found.path for found in entries(tmp_path)] == [entry]
    moved(entry / STATES, tmp_path / "secret")
    assert read_entry(entry) is None
