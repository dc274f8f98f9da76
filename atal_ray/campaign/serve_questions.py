"""`atal annotate`: the open questions of a campaign on a page, for one or more people.

What they say lies in the folder of the round that waits for it:

    round-NN/
      answers.log        every answer as it came, and every one that was taken back
      people.json        the people and the tokens in their links; only this user may read it
      annotated.parquet  the answers as a table, which the campaign takes as any other
"""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import uvicorn
from annotated_types import Interval, MinLen

from atal_ray.annotation.answer_table import ANSWERED_SCHEMA
from atal_ray.annotation.answers import PAGE, PIXEL, answered_elsewhere
from atal_ray.annotation.page.answer_log import AnswerLog
from atal_ray.annotation.page.question_desk import QuestionDesk, near_together
from atal_ray.annotation.page.server import PageServer, Questions
from atal_ray.campaign.campaign_folder import MANIFEST, QUERIES, CampaignFolder
from atal_ray.campaign.generate import configuration_of
from atal_ray.config.bounds import Count, Words
from atal_ray.config.section import Section, require
from atal_ray.data.record import Record, records
from atal_ray.errors import CampaignError, ConfigError, command, counted
from atal_ray.store.folder import Folder
from atal_ray.store.lock import locked
from atal_ray.store.streamed import sha256

LOG, PEOPLE, PAGE_LOCK = "answers.log", "people.json", "page"
WRITE_EVERY = 2.0
"""Seconds between two writings of the table while answers come in."""
RECORDS_KEPT = 4096

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AnnotateConfig(Section):
    """Who is asked, and where the page is served."""

    people: Annotated[tuple[str, ...], MinLen(1), Words("name at least one person")] = ("me",)
    """Names of those who answer; each gets a link of their own."""
    host: str = "127.0.0.1"
    """Address that is listened on; one that is not this machine's own is open to the network."""
    port: Annotated[int, Interval(ge=0, le=65535)] = 8008
    """Port; 0 takes a free one."""
    shared: Annotated[float, Interval(ge=0, le=1)] = 0.05
    """Share of the questions that a second person is asked too, where there is one; the rest tells how far
    people agree.
    """
    away_seconds: Count = 300
    """After so long without a key, the questions that a person has are asked of others."""
    guide: Path | None = None
    """A text file with instructions, which the page shows."""

    def check_relations(self) -> None:
        """Raise ConfigError for people of one name."""
        require(len(set(self.people)) == len(self.people), "people names somebody twice: give each one name")


@dataclass(frozen=True)
class Served:
    """A page that can be asked for.

    Args:
        server: runs until its `should_exit` is set, or a signal comes.
        listening: its port.
        links: of each person.
    """

    server: uvicorn.Server
    listening: socket.socket
    links: dict[str, str]

    def run(self) -> None:
        """Serve it."""
        self.server.run([self.listening])


def serve_questions(campaign: str, config: AnnotateConfig) -> None:
    """Serve the page until it is stopped.

    Raises:
        CampaignError, ConfigError, DataError: no question is open, another page is served, or a file cannot
            be read.
    """
    with opened(campaign, config) as served:
        for who, link in served.links.items():
            print(f"{who}: {link}", flush=True)
        served.run()


@contextmanager
def opened(campaign: str, config: AnnotateConfig) -> Iterator[Served]:
    """The page, not served yet; at the end the table of answers is written."""
    folder = CampaignFolder(Folder.at(campaign))
    number = folder.open_questions()
    if number is None:
        raise CampaignError(f"{folder.root.uri} has no open questions: nobody need answer")
    out = folder.round(number + 1)
    where = f"{out.uri} is on an object store: the page keeps its log on a disk; copy the campaign to one"
    require(out.is_local, where)
    guide = "" if config.guide is None else _text(config.guide)
    with locked(out / PAGE_LOCK):
        questions, answered = _questions(folder, number, guide)
        with (
            AnswerLog(Path(out.where(LOG)), sha256(folder.round(number), QUERIES)) as log,
            _listening(config) as listening,
        ):
            desk = QuestionDesk(
                questions.table.num_rows,
                answered,
                log,
                shared=config.shared if len(config.people) > 1 else 0.0,
                away=config.away_seconds,
                now=time.time,
            )
            table, tokens = _Table(questions.table, desk, out), _tokens(out, config.people)
            page = PageServer(questions, desk, tokens, table.changed)
            if not _is_loopback(config.host):
                logger.warning(
                    "%s is open to the network: put TLS before it, or links can be read", config.host
                )
            start = f"http://{_shown(config.host)}:{listening.getsockname()[1]}/#"
            links = {who: f"{start}{token}" for who, token in tokens.items()}
            settings = uvicorn.Config(page.application(), log_level="warning", timeout_graceful_shutdown=3)
            try:
                yield Served(uvicorn.Server(settings), listening, links)
            finally:
                table.write()
                _say_done(folder, desk)


def _say_done(folder: CampaignFolder, desk: QuestionDesk) -> None:
    left = desk.count - desk.answered()
    if left:
        logger.info("%s without an answer; the same command goes on", counted(left, "question"))
    else:
        logger.info("every question has an answer: go on with %s", command("resume", folder.root.uri))


def _questions(folder: CampaignFolder, number: int, guide: str) -> tuple[Questions, list[int]]:
    """The questions of a round, those of an image near together, and which of them have an answer already."""
    asked = folder.round(number).read_table(QUERIES)
    order: list[int] = []
    ids, xy = asked["image_id"].to_pylist(), np.stack([asked["x"].to_numpy(), asked["y"].to_numpy()], 1)
    start = 0
    for stop in range(1, len(ids) + 1):
        if stop == len(ids) or ids[stop] != ids[start]:
            order += [start + one for one in near_together(xy[start:stop])]
            start = stop
    table = asked.take(pa.array(order, pa.int64())).combine_chunks()
    known = answered_elsewhere(table, folder.round(number + 1))
    config = configuration_of(folder.root)
    data = folder.training_data(config)

    @lru_cache(RECORDS_KEPT)
    def record(image_id: str) -> Record:
        (found,) = records(folder.root.read_between(MANIFEST, "image_id", image_id, image_id), data)
        return found

    title = f"{counted(table.num_rows, 'question')} of {folder.root.uri.rpartition('/')[2]}"
    return Questions(table, record, title, guide), known


def _tokens(out: Folder, people: tuple[str, ...]) -> dict[str, str]:
    """The token of each person: those of an earlier call stay, so that links go on."""
    path = Path(out.where(PEOPLE))
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    kept = {**known, **{who: secrets.token_urlsafe(24) for who in people if who not in known}}
    if kept != known:
        unfinished = path.with_suffix(".part")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(kept, file, indent=1)
        unfinished.replace(path)
    return {who: kept[who] for who in people}


def _listening(config: AnnotateConfig) -> socket.socket:
    """The port, taken before anything else, so that what is wrong with it is said now."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family)
    except OSError as error:
        raise ConfigError(
            f"port {config.port} of {config.host} cannot be had ({error.strerror}): choose another --port"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"guide {path} cannot be read: {error}") from error


class _Table:
    """annotated.parquet, written at most every few seconds while answers come in."""

    def __init__(self, questions: pa.Table, desk: QuestionDesk, out: Folder) -> None:
        self.questions, self.desk, self.out = questions.select(PIXEL), desk, out
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def changed(self) -> None:
        """Write the table soon."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(WRITE_EVERY, self.write)
                self._timer.daemon = True
                self._timer.start()

    def write(self) -> None:
        """Write the table now."""
        with self._lock:
            self._timer = None
        labels = sorted(self.desk.labels().items())
        rows = self.questions.take(pa.array([number for number, _ in labels], pa.int64()))
        column = pa.array([label for _, label in labels], pa.uint8())
        self.out.write_table(PAGE, rows.append_column("label", column).cast(ANSWERED_SCHEMA))
