"""Forms: read from a request, and proved to come from a page of ours."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from itsdangerous import BadSignature, Signer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

FIELDS = 50
"""Most fields of a form."""
ENCODING = "application/x-www-form-urlencoded"
PROOF = "proof"
"""The field that holds a form's token."""


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name. Raises 413, 415 or 400 for what is none; files are never taken."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != ENCODING:
        raise HTTPException(415, "A form was expected.")
    try:
        body = await request.body()
    except ClientDisconnect as error:
        raise HTTPException(413, "That is too much.") from error
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS, errors="replace")
    except ValueError as error:
        raise HTTPException(400, "The form cannot be read.") from error
    return {name: value.replace("\x00", "") for name, value in pairs}


class FormTokens:
    """Tokens against forms that another site has a browser send (CSRF): a signature of whose page the form is on."""

    def __init__(self, secret: str) -> None:
        self.signer = Signer(secret, salt="form")

    def issue(self, whose: str) -> str:
        """The token of a form on somebody's page."""
        return self.signer.get_signature(whose.encode()).decode("ascii")

    def check(self, whose: str, form: Mapping[str, str]) -> None:
        """Raises 403 for a form that was not on that page."""
        try:
            self.signer.unsign(f"{whose}{self.signer.sep.decode()}{form.get(PROOF, '')}")
        except BadSignature as error:
            raise HTTPException(403, "This form is too old or comes from elsewhere; load the page again.") from error
