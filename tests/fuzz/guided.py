"""Damaged files once more, by atheris: what reaches lines of hyperfit that none before has reached is damaged further.

    pip install atheris
    python tests/fuzz/guided.py [--runs 10000] [KIND ...]      # every kind of readers.py, unless some are named

Each kind is read in a process of its own, from a whole file and some damaged ones on. What fails is written to cases/,
as ``test_readers.py`` does.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import atheris

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
CHILD = "--child"
with atheris.instrument_imports(include=["hyperfit"]) if CHILD in sys.argv else nullcontext():
    from fuzz.damage import damaged
    from fuzz.readers import READERS
    from fuzz.test_readers import CASES, check

SEEDS = 30
"""Damaged files to begin with."""
LONGEST = 60
"""Seconds that a file may take."""


def fuzz(kind: str, runs: int, folder: Path) -> None:
    """Read so many files of a kind; ends the process, as libFuzzer does."""
    reader, known, faults = READERS[kind], folder / "known", set[str]()
    known.mkdir()
    whole = reader.whole()
    for seed in range(SEEDS):
        (known / str(seed)).write_bytes(damaged(whole, seed) if seed else whole)

    def read(content: bytes) -> None:
        try:
            check(reader, content, folder / "file")
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            if fault not in faults:
                faults.add(fault)
                name = f"{kind.replace(' ', '-')}-{hashlib.sha256(content).hexdigest()[:8]}"
                CASES.mkdir(exist_ok=True)
                (CASES / name).write_bytes(content)
                print(f"FAULT {name}: {fault}", flush=True)

    def changed(content: bytes, longest: int, seed: int) -> bytes:
        """By bytes and what libFuzzer saw compared, or as a file whose parts are known to matter."""
        return damaged(content, seed)[:longest] if seed % 2 else atheris.Mutate(content, longest)

    limits = {"runs": runs, "timeout": LONGEST, "max_len": 2 * len(whole) + 64, "artifact_prefix": f"{folder}/"}
    flags = {**limits, "len_control": 0, "keep_seed": 1, "reduce_inputs": 0}
    arguments = [sys.argv[0], str(known), *(f"-{name}={value}" for name, value in flags.items())]
    atheris.Setup(arguments, read, custom_mutator=changed)
    atheris.Fuzz()


def main() -> int:
    """Fuzz the kinds that are named, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(READERS))
    parser.add_argument("--runs", type=int, default=10_000, help="files of each kind")
    parser.add_argument(CHILD, type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if unknown := [kind for kind in asked.kinds if kind not in READERS]:
        parser.error(f"no such kind: {', '.join(unknown)}; there are {', '.join(READERS)}")
    if asked.child:
        fuzz(asked.kinds[0], asked.runs, asked.child)
    failed = 0
    for kind in asked.kinds or READERS:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, kind, "--runs", str(asked.runs), CHILD, folder]
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
            )
        lines = done.stdout.splitlines()
        faults = [line for line in lines if line.startswith("FAULT ")]
        ended = next((line for line in reversed(lines) if line.startswith("Done ")), f"ended by {done.returncode}")
        covered = next((line.split("cov: ")[1].split()[0] for line in reversed(lines) if "cov: " in line), "?")
        print(f"{kind}: {ended}; {covered} places of hyperfit reached", *faults, sep="\n  ", flush=True)
        if faults or done.returncode:
            failed += 1
            print(*lines[-12:], sep="\n  | ", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
