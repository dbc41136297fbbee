"""Scripts of the project, run with a user's arguments in this process, which has imported once what all need."""

import runpy
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch


class Said(NamedTuple):
    """What a script printed."""

    out: str
    err: str


def run_script(script: Path, *arguments: object) -> Said:
    """What it says; whatever it raises is raised."""
    out, err = StringIO(), StringIO()
    words = [str(script), *map(str, arguments)]
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", words), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what trainers of other libraries warn of ends nothing for a user
        runpy.run_path(str(script), run_name="__main__")
    return Said(out.getvalue(), err.getvalue())
