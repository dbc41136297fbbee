"""Turn downloaded text into what pretrain.py reads: a folder of plain .txt files, one document each.

    python pretraining/clean_texts.py SOURCE... -o TEXTS

SOURCE is a folder of .txt files, or a .jsonl file with a ``text`` field; each becomes a subfolder
of TEXTS. Hard-wrapped lines are joined into paragraphs, paragraphs are separated by one blank
line, and typographic quotes become plain ones, so that a small vocabulary is not spent on them.
"""

import argparse
import json
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "—": "--", "–": "-", "…": "...", "\ufeff": None})
WIDEST_WRAP = 80
"""Characters; a text whose usual line is shorter than this was wrapped by hand."""


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, each on one line, whether or not the text was hard-wrapped."""
    lines = text.translate(PLAIN).replace("\r", "").split("\n")
    filled = [len(line) for line in lines if line.strip()]
    if not filled:
        return []
    width = statistics.median(filled)
    if width > WIDEST_WRAP:
        return [squeeze(line) for line in lines if line.strip()]
    joined: list[list[str]] = [[]]
    for line in lines:
        starts_paragraph = not line.strip() or line.startswith((" ", "\t"))
        if starts_paragraph and joined[-1]:
            joined.append([])
        if line.strip():
            joined[-1].append(line)
            ends_paragraph = len(line.strip()) < 0.8 * width and re.search(r"""[.!?:]["')]*$""", line.strip())
            if ends_paragraph:
                joined.append([])
    return [squeeze(" ".join(part)) for part in joined if part]


def squeeze(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()


def documents(source: Path) -> Iterator[tuple[str, str]]:
    """Pairs of (name, text) in a folder of .txt files or a .jsonl file."""
    if source.is_dir():
        for path in sorted(source.rglob("*.txt")):
            yield path.stem, path.read_text(encoding="utf-8")
    else:
        with source.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                yield f"{number:06d}", json.loads(line)["text"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("-o", "--output", required=True, type=Path)
    options = parser.parse_args()
    for source in options.sources:
        folder = options.output / source.stem
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in documents(source):
            if parts := paragraphs(text):
                (folder / f"{name}.txt").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
