"""Processes that train side by side: how they are stopped."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

SCRIPT = '''
import os, sys, time
from pathlib import Path
from types import SimpleNamespace
from hyperfit.studies.grid.workers import do_one, workers
from hyperfit.training.interrupts import stop_requests, terminable

def work(file):
    """A training that, asked to stop, still takes a minute; asked twice, none."""
    with stop_requests() as stop:
        Path(file).touch()
        while not stop():
            time.sleep(0.02)
        Path(file + "-asked").touch()
        time.sleep(60)

class Store:
    def train(self, trial):
        """A training that, asked to stop, does so."""
        with stop_requests() as stop:
            Path(trial.name).write_text(str(os.getpid()))
            while not stop():
                time.sleep(0.02)
        raise KeyboardInterrupt

if __name__ == "__main__":
    kind, *files = sys.argv[1:]
    try:
        with terminable(), workers(2) as pool:
            if kind == "twice":
                found = [pool.submit(work, file) for file in files]
            else:
                wanted = [SimpleNamespace(trial=SimpleNamespace(name=file)) for file in files]
                found = [pool.submit(do_one, Store(), one) for one in wanted]
            [one.result() for one in found]
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)
'''


def test_a_second_signal_stops_those_that_train_at_once(tmp_path: Path) -> None:
    """However soon it comes; the process that waits for them ends behind them, and by no abort."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    files = [tmp_path / "a", tmp_path / "b"]
    asked = [tmp_path / "a-asked", tmp_path / "b-asked"]
    process = subprocess.Popen(
        [sys.executable, str(script), "twice", *map(str, files)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for awaited in (files, asked):
            limit = time.monotonic() + 120
            while not all(file.exists() for file in awaited):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < limit
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=40)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == "interrupted\n"
    assert "terminate called" not in err


def test_those_that_train_end_where_the_process_that_asked_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    files = [tmp_path / "a", tmp_path / "b"]
    process = subprocess.Popen([sys.executable, str(script), "once", *map(str, files)])
    try:
        limit = time.monotonic() + 120
        while not all(file.exists() and file.read_text() for file in files):
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    limit = time.monotonic() + 20
    while any(psutil.pid_exists(int(file.read_text())) for file in files):
        assert time.monotonic() < limit, "they wait for work that nobody gives"
        time.sleep(0.1)
