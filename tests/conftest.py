"""What all tests share: no hub, a few tokenizers, and the real model unpacked once."""

import os
from collections.abc import Iterator
from pathlib import Path

# before anything imports huggingface_hub, datasets or bitsandbytes, which read these once
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
# the compiler is loaded by the tests of it alone, not by each of a hundred processes
os.environ["TORCHDYNAMO_DISABLE"] = "1"


import pytest
from hypothesis import settings
from transformers import PreTrainedTokenizerFast

from hyperfit.models.files.folders import model_folder
from tiny_models import save_tiny
from tiny_tokenizers import tiny_bpe

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def short_probes() -> Iterator[None]:
    """Greedy texts between epochs have 24 tokens here, not 96: they were a third of the time of all trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hyperfit.training.probes.TTR_WINDOW", 24)
        yield


@pytest.fixture(scope="session")
def bare_tokenizer() -> PreTrainedTokenizerFast:
    """Puts nothing in front of a text."""
    return tiny_bpe(begins=False)


@pytest.fixture(scope="session", params=[False, True], ids=["bare", "begins"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    """Once without and once with a token in front of every text."""
    return tiny_bpe(begins=request.param)


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of builtin:smollm2, unpacked once for all workers, for as long as the tests run."""
    mine = tmp_path_factory.getbasetemp()
    shared = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERFIT_CACHE", str(shared / "cache"))
        yield Path(model_folder("builtin:smollm2"))


WORDS = "river stone bread window horse letter winter copper garden ladder music salt paper engine harbour".split()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A tiny random Llama and fourteen short texts."""
    folder = tmp_path_factory.mktemp("world")
    save_tiny(folder / "model")
    texts = folder / "texts"
    texts.mkdir()
    for index in range(14):
        words = [WORDS[(index * 7 + step * (index + 2)) % len(WORDS)] for step in range(40)]
        (texts / f"{index:02}.txt").write_text(" ".join(words) + ".\n")
    return str(folder / "model"), str(texts)
