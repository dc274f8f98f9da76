"""The server of the page: what a person with a token may ask for, and nothing else.

Requests name questions by their number, which is looked up; no path of a request reaches the disk. A token
comes in a header, never in an address, and is compared in constant time.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from atal_ray.annotation.page import question_pictures as pictures
from atal_ray.annotation.page.answers_of_people import paces
from atal_ray.annotation.page.question_desk import QuestionDesk, RoundClosed
from atal_ray.annotation.page.replies import (
    HEADERS,
    body_of,
    json_reply,
    label_in,
    number_in,
    refused,
    static_file,
)
from atal_ray.annotation.page.review_list import GROUPS, ORDERS, review_list
from atal_ray.data.record import Record
from atal_ray.errors import AtalError, DataError

SHOWN = 60
"""Answers on one screen of a review."""
STATIC = {
    "": ("index.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "review.js": ("review.js", "text/javascript"),
}


@dataclass(frozen=True)
class Questions:
    """The questions that are asked, and the images that they are about.

    Args:
        table: rows of QUERY_SCHEMA, in the order of asking.
        record: the image of an id.
        examples: pixels whose answer people may see, to learn from: image, column, row and label.
    """

    table: pa.Table
    record: Callable[[str], Record]
    examples: Sequence[tuple[str, int, int, int]] = ()

    def image_of(self, number: int) -> str:
        """The id of the image that a question is about."""
        return str(self.table["image_id"][number].as_py())

    def of(self, number: int) -> tuple[Record, int, int]:
        """The image and pixel of a question."""
        image_id, x, y = (self.table[name][number].as_py() for name in ("image_id", "x", "y"))
        return self.record(image_id), x, y


@dataclass(frozen=True)
class Turn:
    """The questions of one round, while they are asked.

    Args:
        round: the round that the answers are for.
        questions: what is asked.
        desk: lends them.
        changed: called after every answer.
    """

    round: int
    questions: Questions
    desk: QuestionDesk
    changed: Callable[[], None] = lambda: None


class PageServer:
    """Answers the requests of the page.

    Args:
        tokens: name of a person -> their token.
        title: what the page calls the campaign.
        guide: instructions in HTML; may be empty.
    """

    turn: Turn | None = None
    """What is asked now; None while the networks are trained."""
    problem = ""
    """What keeps the next questions from being asked."""
    over = False
    """Whether the campaign has asked all it wants to know."""

    def __init__(self, tokens: Mapping[str, str], title: str, guide: str = "") -> None:
        self.tokens, self.title, self.guide = tokens, title, guide

    def application(self) -> Starlette:
        """The ASGI application."""
        routes = [
            *(Route(f"/{path}", static_file(*of)) for path, of in STATIC.items()),
            Route("/api/next", self._next),
            Route("/api/answer", self._answer, methods=["POST"]),
            Route("/api/skip", self._skip, methods=["POST"]),
            Route("/api/back", self._back, methods=["POST"]),
            Route("/api/review", self._listed),
            Route("/api/review", self._review, methods=["POST"]),
            Route("/api/people", self._of_people),
            Route("/api/picture/{round:int}/{number:int}", self._picture),
            Route("/api/crop/{round:int}/{number:int}", self._crop),
            Route("/api/example/{round:int}/{number:int}", self._example),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: refused, AtalError: refused})

    async def _next(self, request: Request) -> Response:
        return await self._state(self._who(request))

    async def _answer(self, request: Request) -> Response:
        who, body = self._who(request), await body_of(request)
        turn, number = self._asked(body)
        label, milliseconds = label_in(body), min(max(0, number_in(body, "milliseconds")), 3_600_000)
        await run_in_threadpool(turn.desk.answer, who, number, label, milliseconds)
        turn.changed()
        return await self._state(who)

    async def _skip(self, request: Request) -> Response:
        who, body = self._who(request), await body_of(request)
        turn, number = self._asked(body)
        turn.desk.skip(who, number)
        return await self._state(who)

    async def _back(self, request: Request) -> Response:
        who, body = self._who(request), await body_of(request)
        turn = self._turn(number_in(body, "round"))
        await run_in_threadpool(turn.desk.back, who)
        turn.changed()
        return await self._state(who)

    async def _review(self, request: Request) -> Response:
        who, body = self._who(request), await body_of(request)
        turn, number = self._asked(body)
        await run_in_threadpool(turn.desk.review, who, number, label_in(body))
        turn.changed()
        return json_reply({"answered": turn.desk.answered()})

    async def _listed(self, request: Request) -> Response:
        """Some of the answered questions of a group, each with what was said."""
        self._who(request)
        group, by = request.query_params.get("group", ""), request.query_params.get("by", "image")
        start = request.query_params.get("start", "0")
        if group not in GROUPS or by not in ORDERS or not start.isdecimal():
            raise DataError(f"a review is of {', '.join(GROUPS)} by {' or '.join(ORDERS)} from a number on")
        if self.turn is None:
            return json_reply({"round": -1, "total": 0, "start": 0, "shown": []})
        turn, begin = self.turn, int(start)
        numbers = await run_in_threadpool(review_list, turn.desk, turn.questions.table, group, by)
        labels, said = await run_in_threadpool(lambda: (turn.desk.labels(), turn.desk.snapshot()))
        shown = [
            {"question": number, "image": turn.questions.image_of(number), "label": labels[number]}
            | {"said": {who: entry.label for who, entry in said.get(number, {}).items()}}
            for number in numbers[begin : begin + SHOWN]
            if number in labels
        ]
        return json_reply({"round": turn.round, "total": len(numbers), "start": begin, "shown": shown})

    async def _of_people(self, request: Request) -> Response:
        self._who(request)
        if self.turn is None:
            return json_reply({})
        desk = self.turn.desk
        found = await run_in_threadpool(lambda: paces(desk.snapshot(), desk.controls))
        # whether control points were right is for the report: who sees it here would correct them
        return json_reply({who: {**asdict(pace), "right": None} for who, pace in found.items()})

    async def _picture(self, request: Request) -> Response:
        return await self._image(request, pictures.whole, "image/jpeg")

    async def _crop(self, request: Request) -> Response:
        return await self._image(request, pictures.crop, "image/png")

    async def _image(
        self, request: Request, make: Callable[[Record, int, int, int], bytes], kind: str
    ) -> Response:
        who, number = self._who(request), int(request.path_params["number"])
        turn = self._turn(int(request.path_params["round"]))
        if number >= turn.questions.table.num_rows or not turn.desk.may_see(who, number):
            raise HTTPException(403, "this question was not asked of you")
        return await _made(make, *turn.questions.of(number), kind)

    async def _example(self, request: Request) -> Response:
        self._who(request)
        turn, number = self._turn(int(request.path_params["round"])), int(request.path_params["number"])
        if number >= len(turn.questions.examples):
            raise HTTPException(404, "there is no such example")
        image_id, x, y, _ = turn.questions.examples[number]
        return await _made(pictures.crop, turn.questions.record(image_id), x, y, "image/png")

    async def _state(self, who: str) -> Response:
        """What the page shows: the next questions, and how far everybody is."""
        turn = self.turn
        found = {"who": who, "title": self.title, "guide": self.guide, "over": self.over}
        found["problem"] = self.problem
        if turn is None:
            return json_reply({**found, "round": -1, "answered": 0, "count": 0, "next": [], "examples": []})
        numbers = turn.desk.ahead(who)
        ahead = await run_in_threadpool(lambda: [_described(turn.questions, number) for number in numbers])
        now = {"round": turn.round, "answered": turn.desk.answered(), "count": turn.desk.count, "next": ahead}
        return json_reply({**found, **now, "examples": [label for *_, label in turn.questions.examples]})

    def _turn(self, number: int) -> Turn:
        """What is asked now, if it is of that round."""
        if self.turn is None or self.turn.round != number:
            raise RoundClosed("this round has taken its answers: the next questions come")
        return self.turn

    def _asked(self, body: dict[str, Any]) -> tuple[Turn, int]:
        """The question that a request names."""
        turn, number = self._turn(number_in(body, "round")), number_in(body, "question")
        if not 0 <= number < turn.questions.table.num_rows:
            raise DataError(f"there is no question {number}")
        return turn, number

    def _who(self, request: Request) -> str:
        """The person whose token the request has; every token is compared, whichever it is."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        found = [
            who for who, token in self.tokens.items() if hmac.compare_digest(token.encode(), given.encode())
        ]
        if scheme.lower() != "bearer" or not found:
            raise HTTPException(401, "this link is not known here: ask for a new one")
        return found[0]


def _described(questions: Questions, number: int) -> dict[str, Any]:
    """A question as the page needs it, or the problem with its image: the others can be answered."""
    found: dict[str, Any] = {"question": number, "image": questions.image_of(number)}
    try:
        record, x, y = questions.of(number)
        where = pictures.place(x, y, record.width, record.height, pictures.orientation_of(record))
    except AtalError as error:
        return {**found, "problem": str(error)}
    return {**found, **asdict(where)}


async def _made(
    make: Callable[[Record, int, int, int], bytes], record: Record, x: int, y: int, kind: str
) -> Response:
    def made() -> bytes:
        return make(record, x, y, pictures.orientation_of(record))

    return Response(await run_in_threadpool(made), media_type=kind, headers=HEADERS)
