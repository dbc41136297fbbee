"""Links lead where the study is served, and flags that it does not heed are refused."""

import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from hyperfit.cli import main
from study_server import made_run, serving


def test_invitations_lead_to_the_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = str(tmp_path / "study")
    with serving(made_run(tmp_path / "run", 2), "--study", study, "--port", 0) as server:
        main(["prefer", "invite", "2", "--study", study])
        links = capsys.readouterr().out.split()
        assert len(links) == 2
        for link in links:
            assert link.startswith(f"{server.url}/a/")
            with urlopen(link) as page:
                assert "Which text reads better?" in page.read().decode()
    with serving("--study", study, "--port", 0, "--url", "https://study.example.org") as server:
        assert server.enter.startswith("https://study.example.org/owner/enter?key=")
        main(["prefer", "invite", "1", "--study", study])
        assert capsys.readouterr().out.startswith("https://study.example.org/a/")
    main(["prefer", "invite", "1", "--study", study, "--url", "http://other:81/"])
    assert capsys.readouterr().out.startswith("http://other:81/a/")


def test_a_server_that_stands_before_it_tells_who_asks(tmp_path: Path) -> None:
    """Strangers are counted by the address that it names, and not all together by its own."""

    def status(address: str) -> int:
        try:
            with urlopen(Request(f"{server.url}/a/guess", headers={"X-Forwarded-For": address})) as page:
                return int(page.status)
        except HTTPError as error:
            with error:
                return error.code

    with serving(made_run(tmp_path / "run", 1), "--study", tmp_path / "study", "--port", 0) as server:
        assert [status("203.0.113.1") for _ in range(21)] == [404] * 20 + [429]
        assert status("203.0.113.2") == 404


def test_a_study_that_goes_on_takes_no_new_settings(tmp_path: Path) -> None:
    study = tmp_path / "study"
    with serving(made_run(tmp_path / "run", 2), "--study", study, "--port", 0):
        pass
    command = [sys.executable, "-m", "hyperfit", "prefer", "serve", "--study", str(study), "--port", "0"]
    found = subprocess.run([*command, "--annotators", "5", "--gold", "2"], capture_output=True, text=True, timeout=60)
    assert found.returncode == 2
    said = " ".join(found.stderr.split())
    assert "--annotators was 3, is now 5; a study stays as it began" in said
    assert "--gold was 0, is now 2" in said
