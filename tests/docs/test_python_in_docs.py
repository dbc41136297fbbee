"""Python that stands in the documents: what it names is there, and what can be run is."""

import ast
import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

import hyperfit
from documented import PAGES, blocks
from small_commands import MODEL, NAMES

PYTHON = [(page, number) for page in PAGES for number in range(len(blocks(page, "python")))]
SMALL = {
    **{f'"{name}"': f'"{MODEL}"' for name in NAMES},
    'contexts=("builtin:news",), total=128': 'contexts=("builtin:news",), most_contexts=3, context=8, total=24',
    'model="runs/mine"': 'model="runs/mine", new_tokens=4',
    'gguf="Q8_0"': 'gguf="Q8_0", most_contexts=2, context=8, new_tokens=4',
    "blocks=5": "blocks=2",
}
"""What is written → what is run."""
NOT_RUN = {
    "import argilla": "needs a server of Argilla; tests/prefer/test_export_is_read.py",
    '"rank": Listed(': "is a line of a dictionary; test_extend_page.py",
    "STUDY = Study(": "is a module of its own; test_extend_page.py",
}
"""What a block holds → why it is only read."""


def tree(text: str) -> ast.AST:
    """A block, or the entries of a dictionary."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.parse(f"{{{text}}}")


def of_hyperfit(node: ast.AST) -> str | None:
    """NAME of ``hyperfit.NAME``."""
    inside = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hyperfit"
    return node.attr if inside and isinstance(node, ast.Attribute) else None


@pytest.mark.parametrize(("page", "number"), PYTHON)
def test_names_and_arguments_are_there(page: str, number: int) -> None:
    nodes = list(ast.walk(tree(blocks(page, "python")[number])))
    assert {name for node in nodes if (name := of_hyperfit(node))} <= set(hyperfit.__all__)
    for node in nodes:
        if isinstance(node, ast.Call) and (name := of_hyperfit(node.func)):
            given = {one.arg: None for one in node.keywords if one.arg}
            inspect.signature(getattr(hyperfit, name)).bind_partial(*node.args, **given)


@pytest.mark.parametrize(
    ("page", "number"), [one for one in PYTHON if not any(held in blocks(one[0], "python")[one[1]] for held in NOT_RUN)]
)
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # PEFT asks transformers for it
def test_a_block_can_be_run(page: str, number: int, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Callable[[str, str], hyperfit.Recipe] = hyperfit.smollm2
    few = {"samples": 4, "length": 24, "epochs": 1, "probe_texts": 2, "validation_samples": 2, "greedy_every": 0}
    monkeypatch.setattr(hyperfit, "smollm2", lambda model, data: replace(whole(model, data), **few))
    text = blocks(page, "python")[number]
    for written, run in SMALL.items():
        text = text.replace(written, run)
    known: dict[str, Any] = {"training_token_ids": [[1, 2, 3, 4, 5, 6, 7, 8]]}
    if "model.generate(" in text:
        known["model"] = AutoModelForCausalLM.from_pretrained(MODEL)
        known["inputs"] = {"input_ids": torch.tensor([[1, 2, 3, 4, 5, 6]]), "max_new_tokens": 4}
    exec(compile(text, page, "exec"), known)
