"""What the page of `atal annotate` does in a real browser when keys are fast and the network is not.

Needs Playwright and a Chromium, which the project does not install.
"""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plain_campaigns import toy_config, with_budget
from served_pages import Running

from atal_ray.annotation.page.answer_log import read_entries
from atal_ray.campaign.campaign_folder import SAID_LOG, CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import WaitingError
from atal_ray.store.folder import Folder

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
MESSAGE = "() => document.getElementById('message').textContent"
pytestmark = pytest.mark.slow


@pytest.fixture
def page() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if CHROMIUM is None:
        pytest.skip("needs a Chromium")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM)
        yield browser.new_page()
        browser.close()


@pytest.fixture
def link(tmp_path: Path) -> Iterator[str]:
    """The page of a campaign with ten questions; its log is at tmp_path / "run/round-00"."""
    write_dataset(tmp_path / "photos", count=5, size=(40, 64))
    shutil.rmtree(tmp_path / "photos/masks")
    config = with_budget(toy_config(tmp_path / "photos"), annotator="answers")
    with pytest.raises(WaitingError):
        run_campaign(config, tmp_path / "run")
    with Running(CampaignFolder(Folder(str(tmp_path / "run")))) as served:
        yield served.links["ann"]


def answered(tmp_path: Path) -> list[int]:
    """The questions that the log has answers to, in their order."""
    return [entry.question for entry in read_entries(tmp_path / "run/round-00" / SAID_LOG)[1]]


def shown(page: Any) -> int:
    """The question on the screen, once its pictures are there."""
    page.wait_for_function("() => shown !== '' && shown === placeOf(state.next[0])")
    return int(page.evaluate("() => state.next[0].question"))


def test_a_key_answers_only_a_question_that_is_on_the_screen(page: Any, link: str, tmp_path: Path) -> None:
    slow, free = [], threading.Event()

    def late(route: Any) -> None:
        if free.is_set():
            route.continue_()
        else:
            slow.append(route)

    page.goto(link)
    first = shown(page)
    page.wait_for_function("() => pictures.size === 3")
    page.wait_for_load_state("networkidle")
    page.evaluate("() => { for (const place of [...pictures.keys()].slice(1)) pictures.delete(place); }")
    page.route("**/api/picture/**", late)
    for key in "fjf":
        page.keyboard.press(key)
    page.wait_for_function("() => state.answered === 1 && !pending")
    assert answered(tmp_path) == [first], "the pictures of the next one have not come"
    free.set()
    for route in slow:
        route.continue_()
    second = shown(page)
    page.keyboard.press("j")
    page.wait_for_function("() => state.answered === 2 && !pending")
    assert answered(tmp_path) == [first, second]


def test_a_picture_that_does_not_come_is_named_and_comes_later(page: Any, link: str, tmp_path: Path) -> None:
    page.route("**/api/crop/**", lambda route: route.abort())
    page.goto(link)
    page.wait_for_function(f"() => ({MESSAGE})().includes('cannot be shown')")
    page.keyboard.press("f")
    page.unroute("**/api/crop/**")
    number = shown(page)
    assert page.evaluate(MESSAGE) == ""
    assert answered(tmp_path) == []
    page.keyboard.press("f")
    page.wait_for_function("() => state.answered === 1 && !pending")
    assert answered(tmp_path) == [number]


def test_an_answer_that_did_not_arrive_is_asked_again(page: Any, link: str, tmp_path: Path) -> None:
    page.goto(link)
    first = shown(page)
    page.wait_for_load_state("networkidle")
    page.route("**/api/answer", lambda route: route.abort())
    page.keyboard.press("f")
    page.wait_for_function(f"() => ({MESSAGE})().includes('it is asked again')")
    second = shown(page)
    assert second != first, "the next one is shown before the server has replied"
    page.unroute("**/api/answer")
    page.wait_for_function(f"() => state.next[0].question === {first} && shown === placeOf(state.next[0])")
    assert answered(tmp_path) == []
    page.keyboard.press("j")
    page.wait_for_function("() => state.answered === 1 && !pending")
    assert answered(tmp_path) == [first]
