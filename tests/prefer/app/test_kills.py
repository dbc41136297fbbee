"""The benchmark of the server, small: many annotators, and a server that is killed in the middle several times."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "prefer_load.py"


@pytest.mark.parametrize("kills", [0, 3])
def test_nothing_confirmed_is_lost(tmp_path: Path, kills: int) -> None:
    output = tmp_path / "result.json"
    settings = {"annotators": 12, "think": 0.3, "seconds": 6, "contexts": 60, "kills": kills}
    flags = [f"--{name}={value}" for name, value in settings.items()]
    subprocess.run([sys.executable, BENCHMARK, *flags, "-o", output], check=True, capture_output=True)
    answers = json.loads(output.read_text())["answers"]
    assert answers.pop("confirmed") > 20
    assert answers == {"lost": 0, "doubled": 0, "misassigned": 0}
