"""A campaign that people answer on the page trains on what they said, and nobody else can say anything."""

import json
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from plain_campaigns import plain_snapshots, toy_config

from atal_ray.campaign.campaign_folder import POINTS, QUERIES, CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.campaign.serve_questions import LOG, PEOPLE, AnnotateConfig, Served, opened
from atal_ray.config import BudgetConfig, Config
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError, ConfigError, WaitingError
from atal_ray.store.folder import Folder

PIXELS = ["image_id", "x", "y", "label"]
CONFIG = AnnotateConfig(port=0, people=("ann",))


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, CampaignFolder]:
    """A campaign that masks answer."""
    folder = tmp_path_factory.mktemp("served")
    write_dataset(folder / "train", count=5, size=(40, 64))
    config = toy_config(folder / "train", ())
    with plain_snapshots():
        return config, run_campaign(config, folder / "run")


@pytest.fixture
def waiting(oracle: tuple[Config, CampaignFolder], tmp_path: Path) -> tuple[Config, CampaignFolder]:
    """The same campaign, waiting for people."""
    config = replace(oracle[0], budget=BudgetConfig(start=2, per_round=2, total=4, annotator="answers"))
    with pytest.raises(WaitingError):
        run_campaign(config, tmp_path / "run")
    return config, CampaignFolder(Folder(str(tmp_path / "run")))


class Person:
    """Talks to the page as its script does."""

    def __init__(self, link: str) -> None:
        start, _, token = link.partition("#")
        self.client = httpx.Client(base_url=start, headers={"Authorization": f"Bearer {token}"})

    def ask(self, path: str, body: object = None) -> dict[str, Any]:
        found = self.client.get(path) if body is None else self.client.post(path, content=json.dumps(body))
        assert found.status_code == 200, found.text
        return found.json()

    def answer_all(self, labels: dict[tuple[str, int, int], int], questions: list[dict[str, Any]]) -> int:
        state, count = self.ask("api/next"), 0
        while state["next"]:
            number = state["next"][0]["question"]
            row = questions[number]
            label = labels[row["image_id"], row["x"], row["y"]]
            state = self.ask("api/answer", {"question": number, "label": label, "milliseconds": 700})
            count += 1
        return count


class Running:
    """A page that is served in a thread."""

    def __init__(self, campaign: CampaignFolder, config: AnnotateConfig = CONFIG) -> None:
        self._opened = opened(campaign.root.uri, config)

    def __enter__(self) -> Served:
        self.served = self._opened.__enter__()
        self._thread = threading.Thread(target=self.served.run)
        self._thread.start()
        return self.served

    def __exit__(self, *_: object) -> None:
        self.served.server.should_exit = True
        self._thread.join()
        self._opened.__exit__(None, None, None)


@pytest.fixture
def ann(waiting: tuple[Config, CampaignFolder]) -> Iterator[Person]:
    with Running(waiting[1]) as served:
        yield Person(served.links["ann"])


def labels_of(campaign: CampaignFolder, number: int) -> dict[tuple[str, int, int], int]:
    rows = campaign.round(number).read_table(POINTS).select(PIXELS).to_pylist()
    return {(row["image_id"], row["x"], row["y"]): row["label"] for row in rows}


def in_asking_order(campaign: CampaignFolder, number: int, served_as: Person) -> list[dict[str, Any]]:
    """The questions as the page numbers them: those of an image along a short way."""
    from atal_ray.campaign.serve_questions import _questions

    return _questions(campaign, number, "")[0].table.to_pylist()


def test_a_campaign_of_two_rounds_is_answered_as_the_masks_would(
    oracle: tuple[Config, CampaignFolder], waiting: tuple[Config, CampaignFolder]
) -> None:
    config, mine = waiting
    for number in range(2):
        with Running(mine) as served:
            person = Person(served.links["ann"])
            questions = in_asking_order(mine, number - 1, person)
            assert person.answer_all(labels_of(oracle[1], number), questions) == 10
            assert person.ask("api/next")["answered"] == 10
        with plain_snapshots():
            if number == 0:
                with pytest.raises(WaitingError):
                    run_campaign(config, mine.root.uri)
            else:
                run_campaign(config, mine.root.uri)
        found = mine.round(number).read_table(POINTS).select(PIXELS)
        assert found == oracle[1].round(number).read_table(POINTS).select(PIXELS)
    with pytest.raises(CampaignError, match="has no open questions: nobody need answer"), Running(mine):
        pass


def test_what_was_said_is_there_after_a_kill(
    oracle: tuple[Config, CampaignFolder], waiting: tuple[Config, CampaignFolder]
) -> None:
    _, mine = waiting
    out = mine.round(0)
    with Running(mine) as served:
        person, link = Person(served.links["ann"]), served.links["ann"]
        for label in (1, 0, 255):
            number = person.ask("api/next")["next"][0]["question"]
            person.ask("api/answer", {"question": number, "label": label, "milliseconds": 5})
        log = Path(out.where(LOG)).read_bytes()
    Path(out.where("annotated.parquet")).unlink()  # as if it had been killed before it wrote the table
    Path(out.where(LOG)).write_bytes(log + b'{"who": "ann", "quest')
    with Running(mine) as served:
        person = Person(served.links["ann"])
        assert served.links["ann"].partition("#")[2] == link.partition("#")[2], "links stay"
        assert person.ask("api/next")["answered"] == 3
        assert person.ask("api/back", {})["answered"] == 2
    assert pq.read_table(out.where("annotated.parquet"))["label"].to_pylist() == [1, 0]
    assert stat.S_IMODE(Path(out.where(PEOPLE)).stat().st_mode) == 0o600


def test_a_table_beside_the_page_is_not_asked_again(waiting: tuple[Config, CampaignFolder]) -> None:
    config, mine = waiting
    first = mine.round(-1).read_table(QUERIES).slice(0, 4).to_pylist()
    lines = ["image_id,x,y,label", *(f"{row['image_id']},{row['x']},{row['y']},1" for row in first)]
    Path(mine.round(0).where("answers.csv")).write_text("\n".join(lines))
    with pytest.raises(WaitingError):
        run_campaign(config, mine.root.uri)
    with Running(mine) as served:
        person = Person(served.links["ann"])
        state = person.ask("api/next")
        assert state["answered"] == 4
        while state["next"]:
            number = state["next"][0]["question"]
            state = person.ask("api/answer", {"question": number, "label": 0, "milliseconds": 1})
    with plain_snapshots(), pytest.raises(WaitingError, match="round-00"):
        run_campaign(config, mine.root.uri)
    labels = mine.round(0).read_table(POINTS)["label"].to_pylist()
    assert sorted(labels) == [0] * 6 + [1] * 4


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("api/answer", {"question": 0, "label": 7, "milliseconds": 1}, 400, "label must be 0, 1 or 255"),
        ("api/answer", {"question": 99, "label": 1, "milliseconds": 1}, 400, "there is no question 99"),
        ("api/answer", {"question": -1, "label": 1, "milliseconds": 1}, 400, "there is no question -1"),
        (
            "api/answer",
            {"question": 9, "label": 1, "milliseconds": 1},
            400,
            "question 9 was not asked of ann",
        ),
        ("api/skip", {"question": True}, 400, "question must be a whole number"),
        ("api/answer", {"question": 0, "label": 1}, 400, "milliseconds must be a whole number"),
        ("api/answer", ["question"], 400, "the request is not a JSON object"),
        ("api/skip", {"question": 9}, 400, "question 9 was not asked of ann"),
        ("api/answer", {"more": "x" * 5000}, 413, "a request has at most 4096 bytes"),
        ("api/picture/9", None, 403, "this question was not asked of you"),
        ("api/crop/123456", None, 403, "this question was not asked of you"),
    ],
)
def test_a_bad_request_is_refused_and_nothing_is_written(
    ann: Person,
    waiting: tuple[Config, CampaignFolder],
    path: str,
    body: object,
    status: int,
    sentence: str,
) -> None:
    ann.ask("api/next")
    log = Path(waiting[1].round(0).where(LOG)).read_bytes()
    found = ann.client.get(path) if body is None else ann.client.post(path, content=json.dumps(body))
    assert found.status_code == status
    assert sentence in found.json()["error"]
    assert Path(waiting[1].round(0).where(LOG)).read_bytes() == log


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer no"}, {"Authorization": "Basic abc"}, {"Cookie": "token=x"}]
)
def test_without_the_token_there_is_nothing(ann: Person, header: dict[str, str]) -> None:
    with httpx.Client(base_url=ann.client.base_url, headers=header) as stranger:
        for path in ("api/next", "api/people", "api/picture/0", "api/crop/0"):
            assert stranger.get(path).status_code == 401
        for path in ("api/answer", "api/skip", "api/back"):
            assert stranger.post(path, content="{}").status_code == 401
        for path in (
            "../answers.log",
            "api/picture/..%2f..%2fconfig.yaml",
            "people.json",
            "api/picture/0.jpg",
        ):
            assert stranger.get(path).status_code == 404
        page = stranger.get("")
        assert page.status_code == 200
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert {stranger.get(name).status_code for name in ("page.js", "page.css")} == {200}


def test_pictures_of_ones_own_questions_are_served(ann: Person) -> None:
    state = ann.ask("api/next")
    first = state["next"][0]
    assert state["count"] == 10
    assert 0 < first["x"] < 1
    assert ann.client.get(f"api/picture/{first['question']}").headers["content-type"] == "image/jpeg"
    assert ann.client.get(f"api/crop/{first['question']}").headers["content-type"] == "image/png"
    assert ann.ask("api/people") == {}


def test_a_port_that_is_taken_and_people_of_one_name_are_refused(
    waiting: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    with Running(waiting[1]) as served:
        port = served.listening.getsockname()[1]
        with pytest.raises(CampaignError, match="in use"), Running(waiting[1], CONFIG):
            pass
    with pytest.raises(ConfigError, match="people names somebody twice"):
        AnnotateConfig(people=("a", "a"))
    with (
        pytest.raises(ConfigError, match=r"guide .* cannot be read"),
        Running(waiting[1], AnnotateConfig(port=port, guide=tmp_path / "none.txt")),
    ):
        pass
