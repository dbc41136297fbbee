"""The wheel and the source archive: what is in them, and that what was built runs by itself."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import hyperfit

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "hyperfit"
LARGEST = 30_000_000
"""Bytes of a wheel: nearly all of it are the embedded models."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"hyperfit-{hyperfit.__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < LARGEST
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(unpacked: Path) -> None:
    """Also those that are no code: texts, weights, templates, migrations."""
    here = {
        path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    there = {path.relative_to(unpacked / "hyperfit") for path in (unpacked / "hyperfit").rglob("*") if path.is_file()}
    assert there == here
    assert {path.name.split("-")[0] for path in unpacked.iterdir()} == {"hyperfit"}


def test_the_source_archive_holds_what_a_build_and_its_tests_need(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    for needed in (
        "pyproject.toml",
        "Makefile",
        "requirements.lock",
        "LICENSE",
        "tests/test_packaging.py",
        "docs/faq.md",
    ):
        assert needed in names
    assert not [name for name in names if name.startswith((".venv", "site/", "runs/"))]


def test_what_was_built_runs_by_itself(unpacked: Path, tmp_path: Path) -> None:
    where = {**os.environ, "PYTHONPATH": str(unpacked)}
    asked = "import hyperfit; print(hyperfit.__file__)"
    said = subprocess.run(
        [sys.executable, "-c", asked], cwd=tmp_path, env=where, capture_output=True, text=True, check=True
    )
    assert Path(said.stdout.strip()).is_relative_to(unpacked)
    train = (
        "train builtin:tiny --data builtin:fiction --samples 4 --length 24 --epochs 1 --greedy-every 0 --probe-texts 1"
    )
    for line in (f"{train} -o run", "evaluate run --most-contexts 2 --context 8 --total 24 --decodings greedy"):
        done = subprocess.run(
            [sys.executable, "-m", "hyperfit", *line.split()],
            cwd=tmp_path, env=where, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").is_file()
