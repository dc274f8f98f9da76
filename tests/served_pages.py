"""The page of `atal annotate` served in a thread, and somebody who talks to it as its script does."""

import json
import threading
from typing import Any

import httpx

from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.campaign.serve_questions import AnnotateConfig, Served, opened

CONFIG = AnnotateConfig(port=0, people=("ann",))


class Person:
    """Talks to the page as its script does."""

    def __init__(self, link: str) -> None:
        start, _, token = link.partition("#")
        self.client = httpx.Client(base_url=start, headers={"Authorization": f"Bearer {token}"})

    def ask(self, path: str, body: object = None) -> dict[str, Any]:
        found = self.client.get(path) if body is None else self.client.post(path, content=json.dumps(body))
        assert found.status_code == 200, found.text
        reply: dict[str, Any] = found.json()
        return reply

    def say(self, number: int, label: int, round_number: int = 0) -> dict[str, Any]:
        body = {"round": round_number, "question": number, "label": label, "milliseconds": 700}
        return self.ask("api/answer", body)

    def answer_all(
        self, labels: dict[tuple[str, int, int], int], questions: list[dict[str, Any]], leave: int = 0
    ) -> int:
        """Answer the questions as known, but for some; how many were answered."""
        state, count = self.ask("api/next"), 0
        while state["next"] and state["count"] - state["answered"] > leave:
            number = state["next"][0]["question"]
            row = questions[number]
            state = self.say(number, labels[row["image_id"], row["x"], row["y"]], state["round"])
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
