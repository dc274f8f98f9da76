"""What the server of the page reads of a request and sends back: JSON, files, a sentence of refusal."""

import json
import logging
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from atal_ray.annotation.page.question_desk import RoundClosed
from atal_ray.errors import DataError
from atal_ray.labels.points import BACKGROUND, SALIENT, UNSURE

MOST_BYTES = 4096
"""Of a request's body."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
logger = logging.getLogger(__name__)


def static_file(name: str, kind: str) -> Callable[[Request], Any]:
    """What serves a file of this folder."""
    data = files(__package__).joinpath(name).read_bytes()

    async def serve(request: Request) -> Response:
        return Response(data, media_type=kind, headers=HEADERS)

    return serve


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request, which is small."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BYTES:
            raise HTTPException(413, f"a request has at most {MOST_BYTES} bytes")
    try:
        found = json.loads(data)
    except ValueError as error:
        raise DataError(f"the request is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise DataError("the request is not a JSON object")
    return found


def label_in(body: dict[str, Any]) -> int:
    """The label that a request holds."""
    label = number_in(body, "label")
    if label not in (BACKGROUND, SALIENT, UNSURE):
        raise DataError("label must be 0, 1 or 255")
    return label


def number_in(body: dict[str, Any], name: str) -> int:
    """A whole number that a request holds."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{name} must be a whole number")
    return value


def json_reply(document: Any) -> Response:
    """A document that no one stores."""
    return JSONResponse(document, headers=HEADERS)


async def refused(request: Request, error: Exception) -> Response:
    """Say and log why a request was refused."""
    if isinstance(error, HTTPException):
        status, sentence = error.status_code, error.detail
    else:
        status, sentence = 409 if isinstance(error, RoundClosed) else 400, str(error)
    logger.warning("refused %s %s: %s", request.method, request.url.path, sentence)
    return JSONResponse({"error": sentence}, status, headers=HEADERS)
