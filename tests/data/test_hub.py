"""Names that are nothing here: refused at once, without the network where the name itself says so."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError

from hyperfit.data.reading.hub import PATIENCE, check_hub
from hyperfit.data.reading.sources import read_documents
from hyperfit.errors import UserError
from hyperfit.models.loading import load_config, load_tokenizer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was asked of a hub that cannot be reached."""
    questions: list[tuple[str, str]] = []

    def ask(self: object, name: str, *, repo_type: str, timeout: float) -> None:
        assert timeout <= PATIENCE
        questions.append((name, repo_type))
        raise ConnectionError("no such host")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", ask)
    return questions


@pytest.mark.parametrize("name", ["my model", "a:b", "one--two", "model.git", "../x", "a/b/c", "é"])
@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_name_that_cannot_be_an_id_is_refused_unasked(name: str, kind: Any, asked: list[tuple[str, str]]) -> None:
    with pytest.raises(UserError, match="cannot be a hub id") as caught:
        check_hub(name, kind)
    assert str(caught.value).startswith(f"{name}: ")
    assert not asked


def test_a_hub_that_cannot_be_reached_is_asked_once(asked: list[tuple[str, str]]) -> None:
    for read in (load_config, load_tokenizer):
        with pytest.raises(UserError, match=r"^some/model: .*the hub cannot be reached .*no such host.*machine$"):
            read("some/model")
    with pytest.raises(UserError, match=r"^--data some/texts: .*the hub cannot be reached"):
        read_documents("some/texts:en:train", None)
    assert asked == [("some/model", "model"), ("some/model", "model"), ("some/texts", "dataset")]


def test_what_the_hub_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*positional: object, **named: object) -> None:
        response = type("Response", (), {"headers": {}, "request": None, "status_code": 401})()
        raise RepositoryNotFoundError("401", response=response)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", ask)
    with pytest.raises(UserError, match="the hub has no such model; mend the name"):
        check_hub("some/model")


def test_nothing_is_asked_offline_or_of_what_lies_here(
    asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda name, file: str(tmp_path / file))
    check_hub("some/model")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path))
    (tmp_path / "some___texts").mkdir()
    check_hub("some/texts", "dataset")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    check_hub("another/texts", "dataset")
    assert not asked
