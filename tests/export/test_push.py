"""--push: the hub's client is given the folder once it is whole, and asked who we are before anything is computed."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalTokenNotFoundError

from hyperfit.cli import main
from hyperfit.training.train import train
from small_runs import quiet, recipe_for

SHORT = ["--context", "8", "--new-tokens", "12", "--device", "cpu"]


class Hub:
    """What HfApi does, written down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.failures: dict[str, Exception] = {}
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: self)

    def _answer(self, name: str, value: Any) -> None:
        self.asked.append((name, value))
        if name in self.failures:
            raise self.failures[name]

    def whoami(self) -> None:
        self._answer("whoami", None)

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> str:
        self._answer("create_repo", (repo_id, private))
        assert (repo_type, exist_ok) == ("model", True)
        return f"https://huggingface.co/{repo_id}"

    def upload_folder(self, *, repo_id: str, repo_type: str, folder_path: Path, commit_message: str) -> None:
        self._answer("upload_folder", (repo_id, sorted(file.name for file in folder_path.iterdir())))


@pytest.fixture(scope="module")
def run(world: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pushed") / "run"
    return train(recipe_for(world, epochs=1, heldout=0.3), folder, notify=quiet).path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    return Hub(monkeypatch)


@pytest.mark.parametrize("public", [False, True])
def test_the_whole_folder_is_uploaded(
    run: Path, hub: Hub, public: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--form", "adapter", "--push", "me/mine", *(["--public"] if public else [])]
    main(["export", str(run), "-o", str(tmp_path / "out"), *SHORT, *flags])
    files = ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert hub.asked == [
        ("whoami", None),
        ("create_repo", ("me/mine", not public)),
        ("upload_folder", ("me/mine", files)),
    ]
    assert capsys.readouterr().out.splitlines()[-1] == "https://huggingface.co/me/mine"


def test_who_is_not_logged_in_hears_it_first(
    run: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.failures["whoami"] = LocalTokenNotFoundError("no token")
    with pytest.raises(SystemExit) as ended:
        main(["export", str(run), "-o", str(tmp_path / "out"), *SHORT, "--push", "me/mine", "--device", "cuda:99"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "--push me/mine: you are not logged in to the hub; hf auth login" in said
    assert "--device cuda:99" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("step", ["create_repo", "upload_folder"])
def test_what_the_hub_refuses_stays_here_whole(
    run: Path, hub: Hub, step: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.failures[step] = OSError("no route to host")
    with pytest.raises(SystemExit) as ended:
        main(["export", str(run), "-o", str(tmp_path / "out"), *SHORT, "--push", "me/mine"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "OSError: no route to host" in said
    assert f"hf upload me/mine {tmp_path / 'out'}" in said
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert (tmp_path / "out" / "README.md").is_file()
