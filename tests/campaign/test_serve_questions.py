"""A campaign that people answer on the page trains on what they said, and nobody else can say anything."""

import json
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain_campaigns import plain_snapshots, toy_config
from served_pages import CONFIG, Person, Running

from atal_ray.annotation.page import asking_order, question_pictures
from atal_ray.campaign import patience, question_turns
from atal_ray.campaign.campaign_folder import POINTS, QUERIES, SAID_LOG, CampaignFolder
from atal_ray.campaign.export_points import ExportPoints, export_points
from atal_ray.campaign.fork import fork, like
from atal_ray.campaign.run import run_campaign, write_report
from atal_ray.campaign.serve_questions import PEOPLE, AnnotateConfig
from atal_ray.config import AnnotationConfig, BudgetConfig, Config
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError, ConfigError, DataError, WaitingError
from atal_ray.store.folder import Folder

PIXELS = ["image_id", "x", "y", "label"]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, CampaignFolder]:
    """A campaign that masks answer."""
    folder = tmp_path_factory.mktemp("served")
    write_dataset(folder / "train", count=5, size=(40, 64))
    (folder / "photos/images").mkdir(parents=True)
    for image in (folder / "train/images").iterdir():
        shutil.copy(image, folder / "photos/images")
    config = toy_config(folder / "train", (), budget=BudgetConfig(start=2, per_round=2, total=6))
    with plain_snapshots():
        return config, run_campaign(config, folder / "run")


@pytest.fixture
def waiting(oracle: tuple[Config, CampaignFolder], tmp_path: Path) -> tuple[Config, CampaignFolder]:
    """The same campaign on the images alone, waiting for people."""
    photos = str(Path(oracle[0].data.train).parent / "photos")
    budget = replace(oracle[0].budget, annotator="answers")
    config = replace(oracle[0], budget=budget, data=replace(oracle[0].data, train=photos))
    with pytest.raises(WaitingError):
        run_campaign(config, tmp_path / "run")
    return config, CampaignFolder(Folder(str(tmp_path / "run")))


@pytest.fixture
def ann(waiting: tuple[Config, CampaignFolder]) -> Iterator[Person]:
    with Running(waiting[1]) as served:
        yield Person(served.links["ann"])


def labels_of(campaign: CampaignFolder, number: int) -> dict[tuple[str, int, int], int]:
    rows = campaign.round(number).read_table(POINTS).select(PIXELS).to_pylist()
    return {(row["image_id"], row["x"], row["y"]): row["label"] for row in rows}


def pixels(table: pa.Table) -> list[dict[str, Any]]:
    return table.select(PIXELS[:3]).to_pylist()


def until(there: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def in_asking_order(campaign: CampaignFolder, number: int) -> list[dict[str, Any]]:
    """The questions for a round as the page numbers them: those of an image along a short way."""
    return asking_order.in_asking_order(campaign.round(number - 1).read_table(QUERIES)).to_pylist()


def test_a_campaign_of_three_rounds_is_answered_as_the_masks_would(
    oracle: tuple[Config, CampaignFolder], waiting: tuple[Config, CampaignFolder]
) -> None:
    config, mine = waiting
    for number in range(3):
        with Running(mine) as served:
            person = Person(served.links["ann"])
            questions = in_asking_order(mine, number)
            assert person.answer_all(labels_of(oracle[1], number), questions) == 10
            assert person.ask("api/next")["answered"] == 10
        with plain_snapshots():
            if number < 2:
                with pytest.raises(WaitingError):
                    run_campaign(config, mine.root.uri)
            else:
                run_campaign(config, mine.root.uri)
        found = mine.round(number).read_table(POINTS).select(PIXELS)
        assert found == oracle[1].round(number).read_table(POINTS).select(PIXELS)
    with pytest.raises(CampaignError, match="has no open questions: nobody need answer"), Running(mine):
        pass


@pytest.mark.slow
def test_a_waiting_campaign_and_its_page_go_on_by_themselves(
    oracle: tuple[Config, CampaignFolder],
    waiting: tuple[Config, CampaignFolder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(question_turns, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(question_turns, "WRITE_EVERY", 0.05)
    config, mine = replace(waiting[0], annotation=AnnotationConfig(wait=True)), waiting[1]
    with plain_snapshots(), ThreadPoolExecutor(1) as threads, Running(mine) as served:
        run, person = threads.submit(run_campaign, config, mine.root.uri), Person(served.links["ann"])
        for number in range(3):
            until(lambda: person.ask("api/next")["round"] >= number)  # noqa: B023
            person.answer_all(labels_of(oracle[1], number), in_asking_order(mine, number))
        run.result(60)
        until(lambda: person.ask("api/next")["over"])
        assert person.client.post("api/back", content='{"round": 2}').status_code == 409
    for number in range(3):
        found, expected = (one.round(number).read_table(POINTS) for one in (mine, oracle[1]))
        assert found.select(PIXELS) == expected.select(PIXELS)


def test_what_nobody_answered_is_asked_again_and_what_came_late_is_taken(
    oracle: tuple[Config, CampaignFolder], waiting: tuple[Config, CampaignFolder]
) -> None:
    config, mine = replace(waiting[0], annotation=AnnotationConfig(enough=0.8)), waiting[1]
    with Running(mine) as served:
        person, questions = Person(served.links["ann"]), in_asking_order(mine, 0)
        assert person.answer_all(labels_of(oracle[1], 0), questions, leave=2) == 8
    with plain_snapshots(), pytest.raises(WaitingError, match="12 questions, 0 of them answered"):
        run_campaign(config, mine.root.uri)
    known = labels_of(oracle[1], 0)
    first = labels_of(mine, 0)
    assert first == {pixel: known[pixel] for pixel in first}
    left = [pixel for pixel in known if pixel not in first]
    asked = mine.round(0).read_table(QUERIES)
    assert set(left) <= {(row["image_id"], row["x"], row["y"]) for row in asked.to_pylist()}
    assert asked["round"].to_pylist() == [1] * 12
    late = left[0]
    Path(mine.round(0).where("answers.csv")).write_text(
        f"image_id,x,y,label\n{late[0]},{late[1]},{late[2]},unsure\n"
    )
    with Running(mine) as served:
        person = Person(served.links["ann"])
        state = person.ask("api/next")
        assert (state["round"], state["answered"], state["count"]) == (1, 1, 12)
        assert state["examples"] == sorted(state["examples"], reverse=True)
        assert person.client.get("api/example/1/0").headers["content-type"] == "image/png"
        person.answer_all(
            dict.fromkeys([tuple(row.values()) for row in pixels(asked)], 0), in_asking_order(mine, 1)
        )
    with plain_snapshots(), pytest.raises(WaitingError, match="10 questions, 0 of them answered"):
        run_campaign(config, mine.root.uri)
    second = labels_of(mine, 1)
    assert len(second) == 12
    assert second[late] == 255
    assert second[left[1]] == 0


def test_control_points_are_asked_and_never_become_points(
    waiting: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    _, mine = waiting
    image_id = mine.round(-1).read_table(QUERIES)["image_id"][0].as_py()
    table = tmp_path / "known.csv"
    table.write_text(f"image_id,x,y,label\n{image_id},3,4,foreground\n{image_id},5,6,background\n")
    config = replace(CONFIG, controls=table, control_share=0.2)
    with Running(mine, config) as served:
        person, count = Person(served.links["ann"]), 0
        state = person.ask("api/next")
        while state["next"]:
            state, count = person.say(state["next"][0]["question"], 1), count + 1
        found = person.ask("api/people")["ann"]
    assert count == 12
    assert (found["answers"], found["controls"], found["right"]) == (10, 2, None)
    assert pq.read_table(mine.round(0).where("annotated.parquet")).num_rows == 10
    table.write_text(f"image_id,x,y,label\n{image_id},3,4,\n")
    with Running(mine, config) as served:  # those that the round began with stay
        assert Person(served.links["ann"]).ask("api/people")["ann"]["controls"] == 2
    with plain_snapshots(), pytest.raises(WaitingError, match="round-00"):
        run_campaign(waiting[0], mine.root.uri)
    said = mine.round(0).read_json("said.json")["people"]["ann"]
    assert (said["controls"], said["right"]) == (2, 1)
    for lines, sentence in (
        (f"{image_id},3,4,\n", "a control point needs a label"),
        ("none,3,4,1\n", "has no image none"),
        (f"{image_id},999,4,1\n", "outside the image"),
    ):
        table.write_text(f"image_id,x,y,label\n{lines}")
        with pytest.raises(DataError, match=sentence), Running(mine, config):
            pass


def test_answers_are_reviewed_and_the_guide_is_markdown(
    waiting: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    _, mine = waiting
    guide = tmp_path / "guide.md"
    guide.write_text("# Rules\n\n<img src=x onerror=alert(1)> *look* [here](javascript:alert(1))\n")
    with Running(mine, replace(CONFIG, people=("ann", "bob"), shared=1.0, guide=guide)) as served:
        ann, bob = (Person(served.links[who]) for who in ("ann", "bob"))
        html = ann.ask("api/next")["guide"]
        assert "<h1>Rules</h1>" in html
        assert "<em>look</em>" in html
        assert "<img" not in html
        assert "href" not in html
        for person, label in ((ann, 1), (bob, 0)):
            state = person.ask("api/next")
            while state["next"]:
                state = person.say(state["next"][0]["question"], label)
        found = bob.ask("api/review?group=disputed&by=doubt")
        assert (found["round"], found["total"], len(found["shown"])) == (0, 10, 10)
        assert found["shown"][0]["said"] == {"ann": 1, "bob": 0}
        number = found["shown"][0]["question"]
        bob.ask("api/review", {"round": 0, "question": number, "label": 1})
        assert bob.ask("api/review?group=disputed&start=2")["total"] == 9
        assert [one["question"] for one in ann.ask("api/review?group=foreground")["shown"]] == [number]
    labels = pq.read_table(mine.round(0).where("annotated.parquet"))["label"].to_pylist()
    assert sorted(labels) == [1] + [255] * 9
    with plain_snapshots(), pytest.raises(WaitingError):
        run_campaign(waiting[0], mine.root.uri)
    said = mine.round(0).read_json("said.json")
    assert {who: (of["answers"], of["shared"], of["kappa"]) for who, of in said["people"].items()} == {
        "ann": (10, 10, 0.0),
        "bob": (10, 10, 0.0),
    }
    assert said["disagreements"] == 10
    export_points(ExportPoints(campaign=mine.root.uri), tmp_path / "exported")
    card = (tmp_path / "exported/README.md").read_text()
    assert "| people | 2 people, 20 answers on the page |" in card
    assert "| agreement | Cohen's kappa 0.00 to 0.00 by person and round |" in card
    assert "ann" not in card.replace("annotat", "")
    write_report(mine, waiting[0])
    page = mine.root.read_bytes("report.html").decode()
    assert "<h2>People</h2>" in page
    assert page.count("ann: salient, bob: background; taken as unsure") == 9
    assert page.count("around the disputed pixel") == 10


def test_what_was_said_is_there_after_a_kill(
    oracle: tuple[Config, CampaignFolder], waiting: tuple[Config, CampaignFolder]
) -> None:
    _, mine = waiting
    out = mine.round(0)
    with Running(mine) as served:
        person, link = Person(served.links["ann"]), served.links["ann"]
        for label in (1, 0, 255):
            number = person.ask("api/next")["next"][0]["question"]
            person.say(number, label)
        log = Path(out.where(SAID_LOG)).read_bytes()
    Path(out.where("annotated.parquet")).unlink()  # as if it had been killed before it wrote the table
    Path(out.where(SAID_LOG)).write_bytes(log + b'{"who": "ann", "quest')
    with Running(mine) as served:
        person = Person(served.links["ann"])
        assert served.links["ann"].partition("#")[2] == link.partition("#")[2], "links stay"
        assert person.ask("api/next")["answered"] == 3
        assert pq.read_table(out.where("annotated.parquet"))["label"].to_pylist() == [1, 0, 255]
        assert person.ask("api/back", {"round": 0})["answered"] == 2
    assert pq.read_table(out.where("annotated.parquet"))["label"].to_pylist() == [1, 0]
    assert stat.S_IMODE(Path(mine.root.where(PEOPLE)).stat().st_mode) == 0o600


def test_an_image_that_is_gone_is_named_and_the_others_are_answered(
    waiting: tuple[Config, CampaignFolder],
) -> None:
    config, mine = waiting
    first = in_asking_order(mine, 0)[0]["image_id"]
    (gone,) = (Path(config.data.train) / "images").glob(f"{first}.*")
    data = gone.read_bytes()
    gone.unlink()
    question_pictures.orientation_of.cache_clear()
    try:
        with Running(mine) as served:
            person = Person(served.links["ann"])
            state, seen = person.ask("api/next"), 0
            assert gone.name in state["next"][0]["problem"]
            while state["answered"] < 8:
                now = state["next"][0]
                if "problem" in now:
                    seen += 1
                    state = person.ask("api/skip", {"round": 0, "question": now["question"]})
                else:
                    state = person.say(now["question"], 1)
            assert seen >= 2
            assert all("problem" in one for one in state["next"])
    finally:
        gone.write_bytes(data)


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
            state = person.say(number, 0)
    with plain_snapshots(), pytest.raises(WaitingError, match="round-00"):
        run_campaign(config, mine.root.uri)
    labels = mine.round(0).read_table(POINTS)["label"].to_pylist()
    assert sorted(labels) == [0] * 6 + [1] * 4


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        (
            "api/answer",
            {"round": 0, "question": 0, "label": 7, "milliseconds": 1},
            400,
            "label must be 0, 1 or 255",
        ),
        (
            "api/answer",
            {"round": 0, "question": 99, "label": 1, "milliseconds": 1},
            400,
            "there is no question 99",
        ),
        (
            "api/answer",
            {"round": 0, "question": -1, "label": 1, "milliseconds": 1},
            400,
            "there is no question -1",
        ),
        (
            "api/answer",
            {"round": 0, "question": 9, "label": 1, "milliseconds": 1},
            400,
            "question 9 was not asked of ann",
        ),
        ("api/skip", {"round": 0, "question": True}, 400, "question must be a whole number"),
        ("api/answer", {"round": 0, "question": 0, "label": 1}, 400, "milliseconds must be a whole number"),
        ("api/answer", ["question"], 400, "the request is not a JSON object"),
        (
            "api/answer",
            {"round": 3, "question": 0, "label": 1, "milliseconds": 1},
            409,
            "has taken its answers",
        ),
        ("api/review", {"round": 0, "question": 1, "label": 1}, 400, "question 1 has no answer yet"),
        ("api/review?group=all", None, 400, "a review is of foreground, background, unsure, disputed"),
        ("api/review?group=unsure&start=-1", None, 400, "from a number on"),
        ("api/example/0/0", None, 404, "there is no such example"),
        ("api/skip", {"round": 0, "question": 9}, 400, "question 9 was not asked of ann"),
        ("api/answer", {"more": "x" * 5000}, 413, "a request has at most 4096 bytes"),
        ("api/picture/0/9", None, 403, "this question was not asked of you"),
        ("api/crop/0/123456", None, 403, "this question was not asked of you"),
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
    log = Path(waiting[1].round(0).where(SAID_LOG)).read_bytes()
    found = ann.client.get(path) if body is None else ann.client.post(path, content=json.dumps(body))
    assert found.status_code == status
    assert sentence in found.json()["error"]
    assert Path(waiting[1].round(0).where(SAID_LOG)).read_bytes() == log


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer no"}, {"Authorization": "Basic abc"}, {"Cookie": "token=x"}]
)
def test_without_the_token_there_is_nothing(ann: Person, header: dict[str, str]) -> None:
    with httpx.Client(base_url=ann.client.base_url, headers=header) as stranger:
        for path in ("api/next", "api/people", "api/review?group=unsure", "api/picture/0/0", "api/crop/0/0"):
            assert stranger.get(path).status_code == 401
        for path in ("api/answer", "api/skip", "api/back", "api/review"):
            assert stranger.post(path, content="{}").status_code == 401
        for path in (
            "../annotated.log",
            "api/picture/0/..%2f..%2fconfig.yaml",
            "people.json",
            "api/picture/0/0.jpg",
        ):
            assert stranger.get(path).status_code == 404
        page = stranger.get("")
        assert page.status_code == 200
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert {stranger.get(name).status_code for name in ("page.js", "review.js", "page.css")} == {200}


def test_pictures_of_ones_own_questions_are_served(ann: Person) -> None:
    state = ann.ask("api/next")
    first = state["next"][0]
    assert state["count"] == 10
    assert 0 < first["x"] < 1
    assert ann.client.get(f"api/picture/0/{first['question']}").headers["content-type"] == "image/jpeg"
    assert ann.client.get(f"api/crop/0/{first['question']}").headers["content-type"] == "image/png"
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


@pytest.mark.slow
def test_more_answers_of_a_round_that_went_on_do_not_stop_the_campaign(
    oracle: tuple[Config, CampaignFolder], waiting: tuple[Config, CampaignFolder]
) -> None:
    config, mine = replace(waiting[0], annotation=AnnotationConfig(enough=0.8)), waiting[1]
    lines = [f"{image_id},{x},{y},{label}\n" for (image_id, x, y), label in labels_of(oracle[1], 0).items()]
    table = Path(mine.round(0).where("answers.csv"))
    table.write_text("image_id,x,y,label\n" + "".join(lines[:8]))
    with plain_snapshots(), pytest.raises(WaitingError, match="12 questions, 0 of them answered"):
        run_campaign(config, mine.root.uri)
    table.write_text("image_id,x,y,label\n" + "".join(lines))
    with plain_snapshots(), pytest.raises(WaitingError, match="12 questions, 2 of them answered"):
        run_campaign(config, mine.root.uri)


@pytest.mark.slow
def test_a_fork_takes_what_was_said_on_the_page(
    oracle: tuple[Config, CampaignFolder], waiting: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    config, mine = waiting
    with Running(mine) as served:
        Person(served.links["ann"]).answer_all(labels_of(oracle[1], 0), in_asking_order(mine, 0))
    with plain_snapshots(), pytest.raises(WaitingError):
        run_campaign(config, mine.root.uri)
    with Running(mine) as served:
        person = Person(served.links["ann"])
        for _ in range(4):
            person.say(person.ask("api/next")["next"][0]["question"], 1, 1)
    made = CampaignFolder(Folder(str(tmp_path / "fork")))
    with plain_snapshots(), pytest.raises(WaitingError, match="10 questions, 4 of them answered"):
        fork(like(mine.root.uri), mine.root.uri, made.root.uri)
    assert made.round(0).read_json("said.json") == mine.round(0).read_json("said.json")
    with Running(made) as served:
        assert Person(served.links["ann"]).ask("api/next")["answered"] == 4
    log = Path(mine.round(1).where(SAID_LOG))
    assert log.stat().st_ino != Path(made.round(1).where(SAID_LOG)).stat().st_ino
