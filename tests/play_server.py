"""A playground on a server of its own process."""

import http.client
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

from forked import START, python

FIELDS = {"context": "0 the horse went", "decoding": "greedy", "new_tokens": "6"}
FORCED = """
import hyperfit.play.playground as playground
from hyperfit.play.tokens.choosing import told

def forced(pair, side, tokenizer, *_, **__):
    return told(tokenizer.encode({text!r}, add_special_tokens=False))

playground.chooser = forced
"""
"""Has both models write a text of ours."""
ENDLESS = """
import time
import hyperfit.play.playground as playground

def chooser(*_, stopped, **__):
    def choose(ids, logits):
        while not stopped():
            time.sleep(0.01)
        return 65
    return choose

playground.chooser = chooser
"""
"""Has both models think until they are stopped."""


@contextmanager
def playing(run: object, *arguments: object, before: str = "") -> Iterator[str]:
    """The address of hyperfit play, for the length of a block. before: code that is run first."""
    reader, writer = os.pipe()
    process = python(before + START, "play", run, "--port", "0", *arguments, stdout=writer)
    os.close(writer)
    try:
        with open(reader) as lines:
            address = re.search(r"http://[^ ]+", lines.readline())
            assert address is not None
            yield address[0]
    finally:
        process.kill()
        process.join()


class Client:
    """Somebody who asks a playground."""

    def __init__(self, url: str) -> None:
        self.place = urlsplit(url).netloc
        self.headers: dict[str, str] = {}
        """Of the last page."""
        page = self.get("/")[1]
        found = re.search('name="proof" value="([^"]+)"', page)
        assert found is not None
        self.proof = found[1]

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.place, timeout=60)
        connection.request("GET", path, headers={"Connection": "close", **headers})
        with connection.getresponse() as response:
            self.headers = dict(response.headers)
            return response.status, response.read().decode()

    def begin(self, headers: dict[str, str] | None = None, **fields: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.place, timeout=60)
        body = urlencode({"proof": self.proof, **FIELDS, **fields})
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Connection": "close"}
        connection.request("POST", "/write", body, {**kind, **(headers or {})})
        return connection.getresponse()

    def write(self, **fields: str) -> list[dict[str, Any]]:
        response = self.begin(**fields)
        assert response.status == 200
        return [json.loads(line) for line in response.read().decode().splitlines()]

    def refused(self, headers: dict[str, str] | None = None, **fields: str) -> tuple[int, list[str]]:
        response = self.begin(headers, **fields)
        text = response.read().decode()
        return response.status, json.loads(text)["problems"] if text.startswith("{") else [text.strip()]
