"""The wheel and the source archive: what is in them, and that what was built runs by itself."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import hyperfit

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "hyperfit"
GIT = (ROOT / ".git").exists()
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


@pytest.fixture(scope="module", params=["*.whl", "*.tar.gz"], ids=["wheel", "source archive"])
def installed(built: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with what was built; its dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("fresh")
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (own,) = folder.glob("lib/*/site-packages")
    (own / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (file,) = built.glob(request.param)
    # --ignore-installed: this environment, which is now behind the fresh one, has a hyperfit of its own
    pip = [str(python), "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed"]
    done = subprocess.run([*pip, str(file)], env=clean(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return python.parent


def clean() -> dict[str, str]:
    """The environment without what would lead Python to the source tree."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_what_was_installed_runs_as_one_types_it(
    installed: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Of the environment itself: version, metadata, a text that the model inside continues; of the wheel a training."""

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(installed / words[0]), *words[1:]],
            cwd=tmp_path, env=clean(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run("hyperfit", "--version") == f"hyperfit {hyperfit.__version__}"
    told = "import hyperfit, importlib.metadata as m; print(hyperfit.__file__, m.version('hyperfit'), sep='\\n')"
    file, version = run("python", "-c", told).splitlines()
    assert Path(file).is_relative_to(installed.parent)
    assert version == hyperfit.__version__
    model = "builtin:tiny"
    if "wheel" in request.node.name:
        small = "--data builtin:fiction --samples 4 --length 24 --epochs 1 --greedy-every 0 --probe-texts 1 -o run"
        run("hyperfit", "train", model, *small.split())
        model = "run"
    assert run("hyperfit", "generate", model, "--prompt", "The ferry", "--new-tokens", "3")


WRONG = """import hyperfit

hyperfit.Recipe(model=3, data="texts")
run = hyperfit.train(hyperfit.smollm2("gpt2", "texts"), 5)
name: int = run.path
hyperfit.EvaluationSettings(contexts="builtin:news")
hyperfit.trian
"""
"""Lines 3 to 7 are mistakes."""
MYPY = """[mypy]
strict = True

[mypy-torch.*,transformers.*,peft.*]
follow_imports = skip
"""
"""Without what these say of themselves, which takes six times as long: make check reads the first program with it."""


@pytest.mark.parametrize("installed", ["*.whl"], indirect=True)
def test_mypy_finds_the_types_of_what_is_installed(installed: Path, tmp_path: Path) -> None:
    """By py.typed: a program that uses them well is taken, and each mistake of another one is told."""
    (tmp_path / "mypy.ini").write_text(MYPY)
    (tmp_path / "right.py").write_text((ROOT / "tests" / "typed_consumer.py").read_text("utf-8"))
    (tmp_path / "wrong.py").write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--python-executable", str(installed / "python"), "right.py", "wrong.py"]
    done = subprocess.run(command, cwd=tmp_path, env=clean(), capture_output=True, text=True, check=False)
    found = re.findall(r"^(\w+)\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    kinds = ("arg-type", "arg-type", "assignment", "arg-type", "attr-defined")
    assert found == [("wrong", str(line), kind) for line, kind in enumerate(kinds, start=3)], done.stdout


def test_the_version_comes_from_one_place(built: Path, unpacked: Path) -> None:
    """The package; what is built of it has that, and what is written beside it is the same."""
    (about,) = unpacked.glob("*.dist-info/METADATA")
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        packed = opened.extractfile(f"hyperfit-{hyperfit.__version__}/PKG-INFO")
        assert packed is not None
        texts = [about.read_text("utf-8"), packed.read().decode()]
    assert [Parser().parsestr(text)["Version"] for text in texts] == [hyperfit.__version__] * 2
    assert not re.search(r"^version\s*=", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert told_wrongly(tags_here(), *(read(name) for name in ("CHANGELOG.md", "CITATION.cff"))) == []


def read(name: str) -> str:
    """A file of the repository."""
    return (ROOT / name).read_text("utf-8")


def tags_here() -> list[str]:
    """Of releases, on what is checked out; none in an unpacked source archive."""
    command = ["git", "-C", str(ROOT), "tag", "--points-at", "HEAD", "--list", "v*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split() if GIT else []


def told_wrongly(tags: list[str], changelog: str, citation: str) -> list[str]:
    """What does not go together with the package's version: the newest heading, the citation, tags and their date."""
    version = hyperfit.__version__
    heading = re.search(r"^## \[(?P<version>.+?)\] - (?P<date>.+)$", changelog, re.MULTILINE)
    assert heading is not None
    cited = dict(re.findall(r"^(version|date-released): (.+)$", citation, re.MULTILINE))
    wrong = [f"tag {tag}" for tag in tags if tag != f"v{version}"]
    wrong += ["changelog"] if heading["version"] != version else []
    wrong += ["citation"] if cited.get("version") != version else []
    dated = re.fullmatch(r"\d{4}-\d\d-\d\d", heading["date"]) and cited.get("date-released") == heading["date"]
    return wrong + (["date"] if tags and not dated else [])


@pytest.mark.parametrize(
    ("tags", "heading", "cited", "wrong"),
    [
        ([], "[VERSION] - Unreleased", "version: VERSION", []),
        (["vVERSION"], "[VERSION] - 2026-01-02", "version: VERSION\ndate-released: 2026-01-02", []),
        (["vVERSION"], "[VERSION] - Unreleased", "version: VERSION", ["date"]),
        (["vVERSION"], "[VERSION] - 2026-01-02", "version: VERSION\ndate-released: 2026-01-03", ["date"]),
        (["v99.0.0"], "[VERSION] - 2026-01-02", "version: VERSION\ndate-released: 2026-01-02", ["tag v99.0.0"]),
        ([], "[99.0.0] - Unreleased", "version: 99.0.0", ["changelog", "citation"]),
    ],
)
def test_a_version_that_is_told_wrongly_is_found(tags: list[str], heading: str, cited: str, wrong: list[str]) -> None:
    now = [text.replace("VERSION", hyperfit.__version__) for text in (*tags, f"## {heading}", cited)]
    assert told_wrongly(now[:-2], *now[-2:]) == wrong
