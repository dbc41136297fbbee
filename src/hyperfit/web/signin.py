"""An owner's sign-in: a password, or a key that is printed at the start; then a signed cookie."""

import secrets
from dataclasses import dataclass, field

from itsdangerous import BadSignature, TimestampSigner
from starlette.requests import Request
from starlette.responses import Response

COOKIE = "hyperfit_owner"
LASTS = 12 * 3600
"""Seconds."""


@dataclass(frozen=True)
class SignIn:
    """Who may see the owner's pages."""

    password: str
    """What has to be given; a random key where the owner has set none."""
    secret: str
    """Signs the cookies; with the password, so that another password ends all sessions."""
    path: str
    """Where the owner's pages are, beginning with a slash."""
    secure: bool = False
    """Whether browsers reach the server by https alone."""
    signer: TimestampSigner = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "signer", TimestampSigner(f"{self.secret}{self.password}", salt="owner"))

    def matches(self, given: str) -> bool:
        """Whether that is the password, in a time that tells nothing of it."""
        return secrets.compare_digest(given.encode("utf-8", "replace"), self.password.encode())

    def enter(self, response: Response) -> None:
        """Begin a session."""
        response.set_cookie(
            COOKIE,
            self.signer.sign(secrets.token_urlsafe(16)).decode("ascii"),
            max_age=LASTS,
            path=self.path,
            secure=self.secure,
            httponly=True,
            samesite="strict",
        )

    def leave(self, response: Response) -> None:
        """End the session."""
        response.delete_cookie(COOKIE, path=self.path, secure=self.secure, httponly=True, samesite="strict")

    def session(self, request: Request) -> str | None:
        """The session of whoever asks; None for others than the owner."""
        try:
            return self.signer.unsign(request.cookies.get(COOKIE, ""), max_age=LASTS).decode("ascii")
        except (BadSignature, UnicodeError):
            return None
