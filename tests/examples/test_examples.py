"""Every script in examples/, run with a user's arguments, each test in a folder of its own."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import hyperfit
from hyperfit.data.corpus import build_corpus
from hyperfit.models.loading import load_model, load_tokenizer
from scripts import Said, run_script
from tiny_chats import chat_tokenizer, save_chat_model, write_chats

EXAMPLES = Path(__file__).parents[2] / "examples"
CPU = torch.device("cpu")
ON_RUNS = ("decoding.py", "load_adapter.py")
OWN = ("trainer.py", "sft_trainer.py", "own_loop.py", "chats.py")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = hyperfit.Recipe(
        model="builtin:tiny", data="builtin:fiction", samples=8, length=64, epochs=2, greedy_every=0, probe_every=0,
        probe_texts=1, validation_samples=2, device="cpu", precision="fp32",
    )  # fmt: skip
    return hyperfit.train(recipe, tmp_path_factory.mktemp("runs") / "run", notify=lambda line: None).path


def run(name: str, *arguments: str) -> Said:
    return run_script(EXAMPLES / name, *arguments)


def test_each_script_is_listed_and_run_here() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert scripts == {*ON_RUNS, *OWN}
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"[{name}]({name})" in page for name in scripts)


@pytest.mark.parametrize("name", ["trainer.py", "sft_trainer.py"])
def test_a_trainer_leaves_an_adapter(name: str, tmp_path: Path) -> None:
    if name == "sft_trainer.py" and find_spec("trl") is None:
        pytest.skip("trl is not installed")
    out = run(name, "--epochs", "2").out
    assert "ended by the number of epochs; type-token ratio" in out
    assert (tmp_path / "trained" / "adapter_model.safetensors").is_file()


def test_a_loop_of_ones_own_is_the_same_with_the_cache() -> None:
    out = run("own_loop.py").out.splitlines()
    losses = [float(line.split("mean loss ")[1].split(",")[0]) for line in out]
    assert len(losses) == 4
    assert losses == sorted(losses, reverse=True)


def test_stories_become_chats_that_a_chat_model_is_trained_on(tmp_path: Path) -> None:
    assert run("chats.py", "-o", "chats.jsonl").out == "104 chats: chats.jsonl\n"
    corpus = build_corpus(hyperfit.Recipe(model="none", data=str(tmp_path / "chats.jsonl")), chat_tokenizer())
    text = chat_tokenizer().decode(corpus.sequences[0])
    assert text.startswith("[u]Write a short story that begins with this sentence: ")
    assert corpus.learned is not None


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags of a tiny chat model and of chats so short that 32 tokens would reach into what fills them up."""
    folder = tmp_path_factory.mktemp("chats")
    words = [f"{a}{b}" for a in "abcde" for b in "klmnop"]
    data = write_chats(folder / "chats.jsonl", [[f"{word}?", f"{word}, {word}!"] for word in words])
    model = save_chat_model(folder / "model", num_hidden_layers=8)
    return ["--model", str(model), "--data", str(data)]


@pytest.mark.parametrize("name", ["trainer.py", "sft_trainer.py"])
def test_a_trainer_learns_the_replies_of_chats(name: str, chats: list[str], tmp_path: Path) -> None:
    """What fills the rows up, over half of them, would be learned at once, and the second epoch's loss be 3.5."""
    if name == "sft_trainer.py" and find_spec("trl") is None:
        pytest.skip("trl is not installed")
    done = run(name, *chats, "--epochs", "2")
    assert "ended by the number of epochs" in done.out
    (loss,) = re.findall(r"epoch +2 of at most 2 +train ([\d.]+)", done.err)
    assert float(loss) > 4.5
    assert (tmp_path / "trained" / "adapter_model.safetensors").is_file()


def test_a_loop_of_ones_own_learns_the_replies_of_chats(chats: list[str], tmp_path: Path) -> None:
    """Its first loss is that of the replies, as long as one another, but for one update; all tokens have another."""
    out = run("own_loop.py", *chats).out.splitlines()
    first = float(out[0].split("mean loss ")[1].split(",")[0])
    tokenizer = load_tokenizer(chats[1])
    recipe = hyperfit.Recipe(model=chats[1], data=chats[3], samples=8, length=64)
    corpus, model = build_corpus(recipe, tokenizer), load_model(chats[1], device=CPU, dtype=torch.float32)
    assert corpus.learned is not None
    with torch.no_grad():
        losses = -model(input_ids=corpus.train).logits[:, :-1].log_softmax(-1)
    told = losses.gather(-1, corpus.train[:, 1:, None]).squeeze(-1)
    assert first == pytest.approx(float(told[corpus.learned[:, 1:]].mean()), abs=0.02)
    assert abs(first - float(told.mean())) > 0.2, "else the test shows nothing"


def test_citations_of_chats_are_those_of_replies(chats: list[str], tmp_path: Path) -> None:
    """After the end of a prompt no token is forbidden, though all training chats go on from the same five."""
    recipe = hyperfit.Recipe(
        model=chats[1], data=chats[3], samples=8, length=64, rank=4, epochs=1, greedy_every=0, probe_every=0,
        validation_samples=2, device="cpu", precision="fp32",
    )  # fmt: skip
    hyperfit.train(recipe, tmp_path / "run", notify=lambda line: None)
    out = run("decoding.py", "run", "--tokens", "1", "--prompt", "[u]ak?\n[a]").out
    assert "steps=1, blocked=0, changed=0" in out


def test_decoding_rules_act_in_generate_and_in_a_pipeline(trained: Path) -> None:
    out = run("decoding.py", str(trained), "--tokens", "12").out
    assert out.startswith("The ferry was late again, and")
    assert "steps, with a forbidden token, with another choice" in out


def test_an_adapter_loads_in_plain_peft(trained: Path) -> None:
    out = run("load_adapter.py", str(trained)).out
    assert all(
        f"{what}: The ferry was late again, and" in out for what in ("base", "hyperfitted", "at half its strength")
    )
