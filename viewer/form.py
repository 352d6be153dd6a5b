"""The fields that a form sends. A page takes them as a parameter `form: SentForm`."""

from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from ..core.errors import ConfigError

MOST_BYTES: Final = 64 * 1024


async def _read(request: Request) -> dict[str, str]:
    """The fields by name, the last of each; those that were left empty are there too.

    Raises:
        ConfigError: It is no form as browsers send one, or too long for one of these pages.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise ConfigError("This wants the fields of a form (application/x-www-form-urlencoded).")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise ConfigError(f"A form holds at most {MOST_BYTES:,} bytes.")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict"))
    except ValueError as error:
        raise ConfigError("The form's fields are no text.") from error


SentForm = Annotated[dict[str, str], Depends(_read)]
"""The parameter of a page that gives it the fields of the form that was sent."""
