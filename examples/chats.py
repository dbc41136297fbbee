"""Chats to hyperfit a chat model on: each embedded story as the answer to a request for a story that begins so.

Writes one JSON object a line, with the messages of a chat, as `hyperfit train --data` and most trainers read them:

    python examples/chats.py -o chats.jsonl
    hyperfit train builtin:smollm2 --data chats.jsonl
"""

import argparse
import json
import re
from pathlib import Path

from hyperfit.data.reading.sources import read_documents

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="builtin:fiction", help="the stories")
parser.add_argument("-o", "--output", type=Path, default=Path("chats.jsonl"))
asked = parser.parse_args()

train, heldout = read_documents(asked.data)
rows = []
for story in [*train, *heldout]:
    first = re.split(r"(?<=[.!?])\s", story.text.strip(), maxsplit=1)[0]
    question = f"Write a short story that begins with this sentence: {first}"
    rows.append([{"role": "user", "content": question}, {"role": "assistant", "content": story.text.strip()}])
asked.output.write_text("".join(json.dumps({"messages": row}, ensure_ascii=False) + "\n" for row in rows), "utf-8")
print(f"{len(rows)} chats: {asked.output}")
