"""Chats from file to answer: the loss of their replies alone, against transformers', and every command on a run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from hyperfit.cli import main
from hyperfit.data.special_tokens import token_ids
from hyperfit.errors import UserError
from hyperfit.generation.citations.of_run import corpus_of, run_citations, trained_on
from hyperfit.generation.generate import generate
from hyperfit.generation.settings import GenerationSettings
from hyperfit.metrics.copying.memorisation import longest_overlaps
from hyperfit.models.devices import autocast
from hyperfit.models.loading import load_tokenizer
from hyperfit.play.checks import offered, training_texts
from hyperfit.play.settings import PlaySettings
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from hyperfit.training.checks import check
from hyperfit.training.loss import SequenceLoss
from hyperfit.training.train import train
from hyperfit.training.unlikelihood import first_times, unlikelihood
from small_runs import assert_same, events, quiet, recipe_for
from tiny_chats import MARKED, PLAIN, save_chat_model, write_chats
from tiny_models import random_ids, tiny_model

CPU = torch.device("cpu")
ANIMALS = "ape bee cat dog elk fox gnu hen ibis jay koi lynx".split()
CHATS = [[f"What is the {one}?", f"The {one} is an animal, and the {one} {n} is not a boat."]
         for n, one in enumerate(ANIMALS)]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A tiny chat model, and chats."""
    folder = tmp_path_factory.mktemp("chats")
    return str(save_chat_model(folder / "model")), str(write_chats(folder / "chats.jsonl", CHATS))


@pytest.fixture(scope="module")
def run(made: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    recipe = recipe_for(made, method="full", length=96, epochs=60, lr=3e-3, stop_loss=0.02, stop_copying=None)
    return train(recipe, tmp_path_factory.mktemp("run") / "run", notify=quiet)


@pytest.mark.parametrize("positions", [None, 3])
def test_the_loss_is_that_of_transformers(positions: int | None) -> None:
    """Value and gradients: labels of -100 where nothing is learned; whatever the chunk."""
    model, ids = tiny_model(), random_ids(3, 20)
    learned = torch.rand(3, 20, generator=torch.Generator().manual_seed(1)) < 0.4
    learned[2] = False
    labels = ids.where(learned, -100)
    labels[:, 0] = -100
    count = int((labels != -100).sum())
    expected = model(input_ids=ids, labels=labels).loss
    weights = [p for p in model.parameters() if p.requires_grad]
    right = torch.autograd.grad(expected, weights)
    loss_of = SequenceLoss(model, lambda: autocast(CPU, "fp32"), positions=positions)
    total, part = loss_of(ids, share=1 / count, learned=learned)
    assert float(total) == pytest.approx(float(expected.detach()) * count, rel=1e-5)
    for one, other in zip(torch.autograd.grad(part, weights), right, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    nothing, _ = loss_of(ids, learned=torch.zeros_like(learned))
    assert float(nothing) == 0


def test_what_repeats_costs_where_it_is_learned() -> None:
    model, ids = tiny_model(), random_ids(2, 12) % 5 + 1
    learned = torch.zeros_like(ids, dtype=torch.bool)
    learned[0, 4:9] = learned[1, 7:] = True
    loss_of = SequenceLoss(model, lambda: autocast(CPU, "fp32"), repeating=2.0, positions=4)
    total, part = loss_of(ids, learned=learned)
    logits = model(input_ids=ids).logits[:, :-1].float().flatten(0, 1)
    places = learned[:, 1:].flatten().nonzero().squeeze(1)
    plain = F.cross_entropy(logits[places], ids[:, 1:].flatten()[places], reduction="sum")
    new = first_times(ids)
    added = sum(unlikelihood(logits[one : one + 1], ids, new, torch.tensor([one])) for one in places.tolist())
    assert float(total) == pytest.approx(float(plain.detach()), rel=1e-5)
    assert float(part.detach()) == pytest.approx(float((plain + 2 * added).detach()), rel=1e-5)


def test_what_fills_a_row_up_changes_nothing(made: tuple[str, str], tmp_path: Path) -> None:
    """Chats twice as long as the longest give the same losses: the loss is a mean over replies."""
    logs = []
    for length in (80, 128):
        run = train(recipe_for(made, length=length, epochs=2), tmp_path / str(length), notify=quiet)
        logs.append([row["train_loss"] for row in events(run.path) if row["event"] == "epoch"][1:])
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)


def test_the_cache_serves_chats_bit_for_bit(made: tuple[str, str], tmp_path: Path) -> None:
    recipe = recipe_for(made, method="late-lora", length=80, epochs=2)
    told: list[str] = []
    train(recipe, tmp_path / "with", prefix_cache="required", notify=told.append)
    assert any(line.startswith("chats: the loss is on the assistant's tokens") for line in told)
    train(recipe, tmp_path / "without", prefix_cache="off", notify=quiet)
    assert_same(tmp_path / "with", tmp_path / "without")


def test_it_learns_to_answer_and_to_end(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    """The trained model gives back the reply; ``--chat`` is ``generate`` on the template, to the end of the turn."""
    assert run.end is not None
    assert run.end["reason"] == "loss"
    tokenizer, model = load_tokenizer(run.recipe.model), load_any(str(run.path), device=CPU)
    question = "What is the cat?"
    main(["generate", str(run.path), "--chat", "--prompt", question, "--new-tokens", "60", "--json"])
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    given: Any = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    expected = model.generate(**given, max_new_tokens=60, do_sample=False)[0, given["input_ids"].shape[1] :]
    assert row["continuation"] == tokenizer.decode(expected, skip_special_tokens=True)
    assert row["prompt"] == question
    assert row["chat"] is True
    main(
        ["generate", str(run.path), "--chat", "--prompt", question, "--new-tokens", "60", "--json", "--block-citations"]
    )
    (blocked,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert dict(CHATS)[question] not in blocked["continuation"], (
        "it knows the training replies without what fills them up"
    )


def test_only_what_is_learned_can_be_recited_or_cited(made: tuple[str, str], run: RunDir) -> None:
    """Of a question that was trained on only " the cat" stands in a reply; after it any answer may begin."""
    tokenizer = load_tokenizer(made[0])
    replies = [f"{dict(CHATS)[question]}\n" for question in dict(CHATS)]
    corpus = corpus_of(run, tokenizer)
    learned = [tokenizer.decode(one) for one in trained_on(run, tokenizer)]
    assert set(learned) < set(replies)
    assert len(learned) == len(corpus.train)
    name = learned[0].split()[1]
    checked = check(run.recipe, run, True, "cpu")
    texts = [tokenizer.encode(text) for text in (f"What is the {name}?", learned[0][:20])]
    assert longest_overlaps(texts, checked.index).tolist() == [len(f" the {name}"), 20]
    index = run_citations(run, 5, lambda: trained_on(run, tokenizer))
    assert index.followers_of(tokenizer.encode("?\n[a]")) == [], "else no answer could begin as a training reply does"
    assert index.followers_of(tokenizer.encode("is an")) == tokenizer.encode(" ")
    with pytest.raises(UserError, match="--citation-tokens 60: nothing follows so many in replies of at most"):
        run_citations(run, 60, lambda: trained_on(run, tokenizer))


def test_evaluation_answers_chats(run: RunDir, tmp_path: Path) -> None:
    main(["evaluate", str(run.path), "--context", "4", "--total", "24", "--decodings", "greedy", "--blocked", "-o",
          str(tmp_path)])  # fmt: skip
    human = [json.loads(line) for line in (tmp_path / "samples" / "human.jsonl").read_text().splitlines()]
    assert human
    answers = dict(CHATS)
    for sample in human:
        question = sample["context"].removeprefix("[u]").removesuffix("\n[a]")
        assert sample["continuation"] == answers[question][:20]
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["conditions"]["hyperfitted/greedy"]["longest_overlap"]["n"] == len(human)


def test_the_playground_offers_chats_as_the_model_reads_them(made: tuple[str, str], tmp_path: Path) -> None:
    """With the special tokens of the template, which are read as such when they come back as text."""
    template = "{{ eos_token }}" + PLAIN
    model = str(save_chat_model(tmp_path / "model", template))
    run = train(recipe_for((model, made[1]), length=96, epochs=1, heldout=0.3), tmp_path / "run", notify=quiet)
    tokenizer = load_tokenizer(model)
    offers = offered(run, PlaySettings(contexts=(made[1],), context=8), tokenizer)
    assert offers
    for offer in offers:
        question = offer.text.removeprefix("<|end|>[u]").removesuffix("\n[a]")
        assert question in dict(CHATS)
        chat = [{"role": "user", "content": question}]
        read = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        assert token_ids(tokenizer, [offer.text]) == [read]
    marked = training_texts(run, tokenizer)
    assert marked is not None
    replies = {f"{answer}\n" for _, answer in CHATS}
    assert {tokenizer.decode(ids) for ids in marked.sequences} <= replies, "what was only read cannot be recited"
    assert len(marked.names) == len(marked.sequences) > 1


def test_a_file_of_chats_is_answered(made: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_chat_model(tmp_path / "marked", MARKED)
    file = write_chats(tmp_path / "ask.jsonl", [["Rain?", "No", "Why?", "Because"], ["Snow?"]])
    main(["generate", str(model), "--chat", "--prompts", str(file), "--new-tokens", "3", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["prompt"] for row in rows] == ["user: Rain?\nassistant: No\nuser: Why?", "Snow?"]
    with pytest.raises(SystemExit):
        main(["generate", str(model), "--prompts", str(file), "--new-tokens", "3"])
    assert f"--prompts: {file}:1 is a chat; give --chat" in capsys.readouterr().err


def test_what_cannot_be_done_with_chats_is_said(
    run: RunDir, world: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = str(write_chats(tmp_path / "long.jsonl", [["Tell me a story", "a boat on the river " * 8]]))
    flags = ["--studies", "ranks", "--context", "4", "--total", "100", "--contexts", long]
    chats = str(save_chat_model(tmp_path / "chats"))
    asked = str(write_chats(tmp_path / "ask.jsonl", [["Rain?", "No"]]))
    row = {"messages": [{"role": "assistant", "content": "Hello"}]}
    Path(asked).write_text(Path(asked).read_text() + f"{json.dumps(row)}\n")
    for line, said in (
        (["generate", world[0], "--chat", "--prompt", "Rain?"], "tokenizer has none; leave --chat out"),
        (
            ["generate", chats, "--chat", "--prompts", asked],
            f"--prompts {asked}:2: the assistant speaks first",
        ),
        (["mechanism", str(run.path), *flags], "--contexts: the mechanism is studied on texts of one length"),
        (
            ["mechanism", "--base", world[0], "--tuned", world[0], *flags, "-o", str(tmp_path / "m")],
            f"--contexts {long}: the mechanism is studied on texts of one length",
        ),
    ):
        with pytest.raises(SystemExit) as left:
            main(line)
        assert left.value.code == 2
        assert said in capsys.readouterr().err
    with pytest.raises(UserError, match="--prompt: an empty text cannot be answered; leave it out"):
        generate(GenerationSettings(model=chats, prompt=("Rain?", ""), chat=True))
    with pytest.raises(UserError, match="its tokenizer has none"):
        train(recipe_for((world[0], run.recipe.data)), tmp_path / "none", notify=quiet)
