"""The public surface of the package."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hyperfit
from hyperfit.cli import main
from tiny_models import save_tiny


def test_all_is_sorted_and_every_name_is_there() -> None:
    assert hyperfit.__all__ == sorted(hyperfit.__all__)
    for name in hyperfit.__all__:
        assert getattr(hyperfit, name).__doc__, f"{name} has no docstring"
    assert set(hyperfit.__all__) <= set(dir(hyperfit))


def test_unknown_names_are_attribute_errors() -> None:
    assert not hasattr(hyperfit, "nothing_of_that_name")


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, hyperfit, hyperfit.cli; print({'torch', 'transformers', 'peft', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_generate_is_the_command_of_that_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = str(save_tiny(tmp_path))
    rows = hyperfit.generate(hyperfit.GenerationSettings(model=model, prompt=("one two", "three"), new_tokens=4))
    main(["generate", model, "--new-tokens", "4", "--json", "--prompt", "one two", "three"])
    assert rows == [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["prompt"] for row in rows] == ["one two", "three"]
    with pytest.raises(hyperfit.UserError, match="--new-tokens 99"):
        hyperfit.generate(hyperfit.GenerationSettings(model=model, prompt=("one two",), new_tokens=99))
