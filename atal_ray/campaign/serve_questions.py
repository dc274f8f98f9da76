"""`atal annotate`: the open questions of a campaign on a page, for one or more people.

The page goes on from round to round by itself (question_turns.py). `people.json` of the campaign's folder
holds the people and the tokens in their links; only this user may read it.
"""

import json
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import uvicorn
from annotated_types import Interval, MinLen
from markdown_it import MarkdownIt

from atal_ray.annotation.page.server import PageServer
from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.campaign.question_turns import QuestionTurns
from atal_ray.config.bounds import Count, Words
from atal_ray.config.section import Section, require
from atal_ray.errors import CampaignError, ConfigError, command
from atal_ray.store.folder import Folder
from atal_ray.store.lock import locked

PEOPLE, PAGE_LOCK = "people.json", "page"

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
    controls: Path | None = None
    """Table of pixels whose label is known (image_id, x, y, label): they are mixed in unseen, to tell how far
    each person can be trusted.
    """
    control_share: Annotated[float, Interval(ge=0, le=1)] = 0.02
    """Control points for each question that a person gets."""
    guide: Path | None = None
    """A file with instructions in Markdown, which the page shows."""

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
    """Serve the page until it is stopped, the questions of one round after another.

    Raises:
        CampaignError, ConfigError, DataError: nothing is left to ask, another page is served, or a file
            cannot be read.
    """
    with opened(campaign, config) as served:
        for who, link in served.links.items():
            print(f"{who}: {link}", flush=True)
        served.run()


@contextmanager
def opened(campaign: str, config: AnnotateConfig) -> Iterator[Served]:
    """The page, not served yet; at the end the table of answers is written."""
    folder = CampaignFolder(Folder.at(campaign))
    where = (
        f"{folder.root.uri} is on an object store: the page keeps its log on a disk; copy the campaign to one"
    )
    require(folder.root.is_local, where)
    guide = "" if config.guide is None else _html(config.guide)
    with locked(folder.root / PAGE_LOCK), _listening(config) as listening:
        tokens = _tokens(folder.root, config.people)
        server = PageServer(tokens, folder.root.uri.rpartition("/")[2], guide)
        turns = QuestionTurns(
            folder,
            server,
            shared=config.shared if len(config.people) > 1 else 0.0,
            away=config.away_seconds,
            controls=config.controls,
            control_share=config.control_share,
        )
        if folder.open_questions() is None and turns.is_over():
            raise CampaignError(f"{folder.root.uri} has no open questions: nobody need answer")
        turns.look()
        if not _is_loopback(config.host):
            logger.warning("%s is open to the network: put TLS before it, or links can be read", config.host)
        start = f"http://{_shown(config.host)}:{listening.getsockname()[1]}/#"
        links = {who: f"{start}{token}" for who, token in tokens.items()}
        settings = uvicorn.Config(server.application(), log_level="warning", timeout_graceful_shutdown=3)
        with turns.watched():
            yield Served(uvicorn.Server(settings), listening, links)
        logger.info("the campaign goes on with %s", command("resume", folder.root.uri))


def _tokens(root: Folder, people: tuple[str, ...]) -> dict[str, str]:
    """The token of each person: those of an earlier call stay, so that links go on."""
    path = Path(root.where(PEOPLE))
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


def _html(path: Path) -> str:
    """Markdown as HTML; tags in it are text, and so can do nothing."""
    try:
        return str(MarkdownIt("js-default", {"html": False}).render(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"guide {path} cannot be read: {error}") from error
