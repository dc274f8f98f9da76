"""The server of the page: what a person with a token may ask for, and nothing else.

Requests name questions by their number, which is looked up; no path of a request reaches the disk. A token
comes in a header, never in an address, and is compared in constant time.
"""

import hmac
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

import pyarrow as pa
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from atal_ray.annotation.page import question_pictures as pictures
from atal_ray.annotation.page.answers_of_people import paces
from atal_ray.annotation.page.question_desk import QuestionDesk
from atal_ray.data.record import Record
from atal_ray.errors import DataError
from atal_ray.labels.points import BACKGROUND, SALIENT, UNSURE

MOST_BYTES = 4096
"""Of a request's body."""
STATIC = {
    "": ("index.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Questions:
    """The questions that are asked, and the images that they are about.

    Args:
        table: rows of QUERY_SCHEMA, in the order of asking.
        record: the image of an id.
        title: what the page calls them.
        guide: instructions in plain text; may be empty.
    """

    table: pa.Table
    record: Callable[[str], Record]
    title: str
    guide: str

    def of(self, number: int) -> tuple[Record, int, int]:
        """The image and pixel of a question."""
        image_id, x, y = (self.table[name][number].as_py() for name in ("image_id", "x", "y"))
        return self.record(image_id), x, y


class PageServer:
    """Answers the requests of the page.

    Args:
        questions: that are asked.
        desk: lends them.
        tokens: name of a person -> their token.
        changed: called after every answer.
    """

    def __init__(
        self,
        questions: Questions,
        desk: QuestionDesk,
        tokens: Mapping[str, str],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.questions, self.desk, self.tokens, self.changed = questions, desk, tokens, changed

    def application(self) -> Starlette:
        """The ASGI application."""
        routes = [
            *(Route(f"/{path}", _static(*of)) for path, of in STATIC.items()),
            Route("/api/next", self._next),
            Route("/api/answer", self._answer, methods=["POST"]),
            Route("/api/skip", self._skip, methods=["POST"]),
            Route("/api/back", self._back, methods=["POST"]),
            Route("/api/people", self._of_people),
            Route("/api/picture/{number:int}", self._picture),
            Route("/api/crop/{number:int}", self._crop),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _refused, DataError: _refused})

    async def _next(self, request: Request) -> Response:
        who = self._who(request)
        return self._state(who)

    async def _answer(self, request: Request) -> Response:
        who, body = self._who(request), await _body(request)
        label = _number(body, "label")
        if label not in (BACKGROUND, SALIENT, UNSURE):
            raise DataError("label must be 0, 1 or 255")
        milliseconds = min(max(0, _number(body, "milliseconds")), 3_600_000)
        await run_in_threadpool(self.desk.answer, who, self._question(body), label, milliseconds)
        self.changed()
        return self._state(who)

    async def _skip(self, request: Request) -> Response:
        who, body = self._who(request), await _body(request)
        self.desk.skip(who, self._question(body))
        return self._state(who)

    async def _back(self, request: Request) -> Response:
        who = self._who(request)
        await run_in_threadpool(self.desk.back, who)
        self.changed()
        return self._state(who)

    async def _of_people(self, request: Request) -> Response:
        self._who(request)
        return _json({who: asdict(pace) for who, pace in paces(self.desk.said).items()})

    async def _picture(self, request: Request) -> Response:
        return await self._image(request, pictures.whole, "image/jpeg")

    async def _crop(self, request: Request) -> Response:
        return await self._image(request, pictures.crop, "image/png")

    async def _image(
        self, request: Request, make: Callable[[Record, int, int, int], bytes], kind: str
    ) -> Response:
        who, number = self._who(request), int(request.path_params["number"])
        if number >= self.desk.count or not self.desk.may_see(who, number):
            raise HTTPException(403, "this question was not asked of you")

        def made() -> bytes:
            record, x, y = self.questions.of(number)
            return make(record, x, y, pictures.orientation_of(record))

        return Response(await run_in_threadpool(made), media_type=kind, headers=HEADERS)

    def _state(self, who: str) -> Response:
        """What the page shows: the next questions, and how far everybody is."""
        ahead = [self._described(number) for number in self.desk.ahead(who)]
        return _json(
            {
                "who": who,
                "title": self.questions.title,
                "guide": self.questions.guide,
                "answered": self.desk.answered(),
                "count": self.desk.count,
                "next": ahead,
            }
        )

    def _described(self, number: int) -> dict[str, Any]:
        record, x, y = self.questions.of(number)
        where = pictures.place(x, y, record.width, record.height, pictures.orientation_of(record))
        return {"question": number, "image": record.image_id, **asdict(where)}

    def _question(self, body: dict[str, Any]) -> int:
        number = _number(body, "question")
        if not 0 <= number < self.desk.count:
            raise DataError(f"there is no question {number}")
        return number

    def _who(self, request: Request) -> str:
        """The person whose token the request has; every token is compared, whichever it is."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        found = [
            who for who, token in self.tokens.items() if hmac.compare_digest(token.encode(), given.encode())
        ]
        if scheme.lower() != "bearer" or not found:
            raise HTTPException(401, "this link is not known here: ask for a new one")
        return found[0]


def _static(name: str, kind: str) -> Callable[[Request], Any]:
    data = files(__package__).joinpath(name).read_bytes()

    async def serve(request: Request) -> Response:
        return Response(data, media_type=kind, headers=HEADERS)

    return serve


async def _body(request: Request) -> dict[str, Any]:
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


def _number(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{name} must be a whole number")
    return value


def _json(document: Any) -> Response:
    return JSONResponse(document, headers=HEADERS)


async def _refused(request: Request, error: Exception) -> Response:
    status, sentence = (
        (error.status_code, error.detail) if isinstance(error, HTTPException) else (400, str(error))
    )
    logger.warning("refused %s %s: %s", request.method, request.url.path, sentence)
    return JSONResponse({"error": sentence}, status, headers=HEADERS)
