"""The public surface of the package."""

import subprocess
import sys

import hyperfit


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
