"""Stylesheets and scripts, held in memory: no path that a request names ever reaches the file system."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
YEAR = "public, max-age=31536000, immutable"


class Files:
    """Files by name; an address holds the digest of what it leads to, so that it can be kept for ever."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.held = {path.name: (KINDS[path.suffix], path.read_bytes()) for path in paths}

    def address(self, name: str) -> str:
        """Where a file is to be had."""
        return f"/files/{name}?{sha256(self.held[name][1]).hexdigest()[:12]}"

    async def answer(self, request: Request) -> Response:
        """A file, or 404."""
        name = request.path_params["name"]
        if name not in self.held:
            raise HTTPException(404)
        kind, content = self.held[name]
        return Response(content, media_type=kind, headers={"Cache-Control": YEAR})
