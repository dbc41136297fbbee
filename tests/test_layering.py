"""Imports go one way: each module knows only those above it in the list that CONTRIBUTING.md shows."""

import ast
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "hyperfit"
FREE = "__init__"
"""The package's own file: it imports from all, and only cli.py from it."""


def listed_layers(document: str) -> list[str]:
    """The first word of every line of the code block between the marks, top first."""
    block = re.search(r"^<!-- layers -->\n```\w*\n(.*?)^```\n<!-- /layers -->$", document, re.DOTALL | re.MULTILINE)
    assert block, "no code block between <!-- layers --> and <!-- /layers -->"
    return [line.split()[0] for line in block[1].splitlines() if line.strip()]


def present_layers(package: Path) -> dict[str, list[Path]]:
    """Every module or package that lies directly in the package, with its files."""
    layers = {path.stem: [path] for path in package.glob("*.py")}
    folders = {path.parent.relative_to(package).parts[0] for path in package.glob("*/**/*.py")}
    return layers | {folder: sorted((package / folder).rglob("*.py")) for folder in folders}


def imported_layers(file: Path, package: Path, layers: Collection[str]) -> Iterator[tuple[int, str]]:
    """(line, layer) of everything that a file imports from the package, also inside functions."""
    inside = file.relative_to(package.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            near = inside[: -node.level] if node.level else ()
            base = (*near, *node.module.split(".")) if node.module else near
            targets = [(*base, alias.name) for alias in node.names]
        else:
            continue
        for target in targets:
            if target[0] == package.name:
                yield node.lineno, target[1] if len(target) > 1 and target[1] in layers else FREE


def trespasses(order: list[str], package: Path) -> list[str]:
    """Imports from the importer's own level (other than within a package) or below, each as FILE:LINE."""
    found = []
    layers = present_layers(package)
    for layer, modules in layers.items():
        if layer == FREE:
            continue
        above = order[: order.index(layer)]
        own = [layer] if (package / layer).is_dir() else []
        allowed = {*above, *own, *([FREE] if layer == "cli" else [])}
        for file in modules:
            found += [
                f"{file.relative_to(package)}:{line} imports {imported}"
                for line, imported in imported_layers(file, package, layers)
                if imported not in allowed
            ]
    return sorted(found)


def test_the_list_names_every_module_and_nothing_else() -> None:
    order = listed_layers((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(set(order)) == len(order)
    assert set(order) == set(present_layers(PACKAGE)) - {FREE}


def test_modules_import_only_from_those_above() -> None:
    order = listed_layers((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert trespasses(order, PACKAGE) == []


# The walk itself, on a package made for it

LIST = """\
# House

<!-- layers -->
```
low      the ground
middle   a folder
high
cli      the top
```
<!-- /layers -->
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    package = tmp_path / "house"
    (package / "middle" / "deep").mkdir(parents=True)
    for name, code in {
        "__init__.py": "from house.cli import main\nfrom house import low",
        "low.py": "import json, os.path\nfrom collections import abc",
        "middle/__init__.py": "",
        "middle/one.py": "from house.low import x\nimport house.middle.two\nfrom . import two\nfrom .. import low",
        "middle/two.py": "import house.low\nfrom house import low, middle",
        "middle/deep/three.py": "from ..two import y\nfrom ...low import x",
        "high.py": "from house.middle.two import y\n\ndef f():\n    from house.low import x",
        "cli.py": "from house import __version__\nfrom house.high import f",
    }.items():
        (package / name).write_text(code + "\n")
    return package


def test_list_is_read() -> None:
    assert listed_layers(LIST) == ["low", "middle", "high", "cli"]
    with pytest.raises(AssertionError):
        listed_layers(LIST.replace("<!-- /layers -->", ""))


def test_layers_are_found(house: Path) -> None:
    layers = present_layers(house)
    assert set(layers) == {"__init__", "low", "middle", "high", "cli"}
    assert len(layers["middle"]) == 4


def test_a_good_house_stands(house: Path) -> None:
    assert trespasses(listed_layers(LIST), house) == []


@pytest.mark.parametrize(
    ("file", "code", "imported"),
    [
        ("low.py", "import house.high", "high"),
        ("low.py", "from house import high as h", "high"),
        ("low.py", "from house.high import f", "high"),
        ("low.py", "from . import high", "high"),
        ("low.py", "from .middle.two import y", "middle"),
        ("low.py", "from house.low import x", "low"),
        ("low.py", "import json, house", "__init__"),
        ("low.py", "from house import main", "__init__"),
        ("low.py", "def f():\n    def g():\n        import house.cli", "cli"),
        ("low.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.high import f", "high"),
        ("middle/deep/three.py", "from ...high import f", "high"),
        ("middle/one.py", "try:\n    import house.high\nexcept ImportError:\n    pass", "high"),
        ("high.py", "from house.cli import main", "cli"),
    ],
)
def test_a_trespass_is_found(house: Path, file: str, code: str, imported: str) -> None:
    (house / file).write_text(code + "\n")
    line = next(number for number, text in enumerate(code.split("\n"), 1) if "house" in text or "from ." in text)
    assert trespasses(listed_layers(LIST), house) == [f"{file}:{line} imports {imported}"]


# What follows from it


@pytest.mark.parametrize("then", ["", "; hyperfit.cli.main(['study', '--list'])"], ids=["start", "study --list"])
def test_the_command_line_starts_without_torch(then: str) -> None:
    code = f"import sys, hyperfit.cli{then}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "hyperfit" in loaded
    heavy = {"torch", "transformers", "peft", "accelerate", "datasets", "pyarrow", "scipy", "matplotlib"}
    assert heavy & set(loaded) == set()


def test_the_installed_package_says_that_it_is_typed() -> None:
    assert files("hyperfit").joinpath("py.typed").is_file()
