"""Databases to test on: SQLite, and a PostgreSQL of the test's own where Debian's package is installed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ABSENT = "PostgreSQL is not installed (apt-get install postgresql): the study's database is tested on SQLite alone"


def programs() -> Path | None:
    """Where initdb and postgres lie."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    inside = shutil.which("initdb")
    return Path(inside).resolve().parent if inside else None


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database on a socket of its own. Skips the test where there can be none."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: the study's database is tested on SQLite alone")
    there = programs()
    if there is None:
        pytest.skip(ABSENT)
    root = os.geteuid() == 0  # PostgreSQL refuses to run as root
    who = {"user": "nobody", "group": "nogroup", "extra_groups": ()} if root else {}
    folder = Path(tempfile.mkdtemp(prefix="hf-pg-", dir="/tmp"))  # a socket's path is 107 characters at most
    if root:
        shutil.chown(folder, "nobody", "nogroup")
    data, environment = folder / "data", {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    try:
        subprocess.run(
            [there / "initdb", "-D", data, "-U", "owner", "--auth", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            env=environment,
            **who,
        )
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c max_connections=60"
        control = [there / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
        subprocess.run(
            [*control, "-o", options, "start"], check=True, capture_output=True, cwd=folder, env=environment, **who
        )
        try:
            yield f"postgresql://owner@/postgres?host={folder}"
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"], capture_output=True, cwd=folder, env=environment, **who
            )
    except subprocess.CalledProcessError as error:
        pytest.skip(f"PostgreSQL cannot be started here: {error.stderr.decode(errors='replace')[-300:]}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
