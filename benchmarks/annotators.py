"""Many people at once on the page of `atal annotate`, whose server is killed again and again.

    python benchmarks/annotators.py --out runs/annotators

A campaign on embedded images asks 5,000 questions. Scripted people answer them over HTTP, each at their own
pace, while the server is ended with SIGKILL and started anew. Every answer that a person was told is kept is
then looked for in the log and in the table.

Writes benchmarks/results/annotators.json: answers lost and doubled, questions without an answer, the time of
an answer over HTTP, and the server's memory after each fifth of the answers. Prints it.
"""

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pyarrow.parquet as pq
import tyro
from machine import provenance
from open_questions import ATAL, asked

from atal_ray.annotation.page.answer_log import latest, read_entries
from atal_ray.campaign.campaign_folder import QUERIES, SAID_LOG, START, CampaignFolder
from atal_ray.config import DataConfig
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.store.folder import Folder

RESULT = Path(__file__).parent / "results" / "annotators.json"
MEASURES = ("atal_ray.annotation", "atal_ray.campaign")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is run."""

    out: Path = Path("runs/annotators")
    people: int = 8
    images: int = 500
    points: int = 10
    kills: int = 5
    seed: int = 0


@dataclass
class Told:
    """What a person was told: question -> label of the answers that the server has taken."""

    labels: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)


class Page:
    """The server in a process of its own, on one port through all its lives."""

    def __init__(self, campaign: Path, people: list[str]) -> None:
        self.command = [*ATAL, "annotate", str(campaign), "--port", "8765"]
        self.command += ["--shared", "0.05", "--away-seconds", "2", "--people", *people]
        self.people = len(people)
        self.start()

    def start(self) -> None:
        """Start it, and wait for its links."""
        self.links: dict[str, str] = {}
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        while len(self.links) < self.people:
            who, _, link = self.process.stdout.readline().strip().partition(": ")
            self.links[who] = link

    def kill(self) -> None:
        """End it as a power failure would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def memory(self) -> float:
        """Its resident memory in MiB."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)


def answer(link: str, told: Told, seed: int, stop: threading.Event) -> None:
    """Answer until nothing is left; a server that is away is waited for."""
    start, _, token = link.partition("#")
    draw = random.Random(seed)
    with httpx.Client(base_url=start, headers={"Authorization": f"Bearer {token}"}, timeout=20) as client:
        while not stop.is_set():
            try:
                state = client.get("api/next").json()
                while state["next"] and not stop.is_set():
                    state = answer_one(client, state, told, draw)
                if state["answered"] == state["count"]:
                    return
            except (httpx.HTTPError, KeyError):  # it was killed, or a lease has gone
                pass
            time.sleep(0.2)


def answer_one(
    client: httpx.Client, state: dict[str, Any], told: Told, draw: random.Random
) -> dict[str, Any]:
    """One answer; what the server says next."""
    number, label = state["next"][0]["question"], draw.choice((0, 1, 1, 255))
    body = {"round": state["round"], "question": number, "label": label, "milliseconds": 900}
    began = time.perf_counter()
    reply = client.post("api/answer", content=json.dumps(body))
    told.seconds.append(time.perf_counter() - began)
    if reply.status_code != 200:
        told.refused[reply.status_code] += 1
        found: dict[str, Any] = client.get("api/next").json()
        return found
    told.labels[number] = label
    found = reply.json()
    return found


def run(options: Options) -> dict[str, Any]:
    """Let people answer everything while the server is killed; what came of it."""
    out = options.out.resolve()
    if not (out / "images").exists():
        write_dataset(out / "images", count=options.images, size=(96, 128))
    campaign = asked(DataConfig(train=str(out / "images")), options.points, out / "run")
    names = [f"person-{number}" for number in range(options.people)]
    page, stop = Page(campaign, names), threading.Event()
    told = {who: Told() for who in names}
    threads = [
        threading.Thread(target=answer, args=(page.links[who], told[who], number, stop))
        for number, who in enumerate(names)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    count, kills, memory = options.images * options.points, 0, []
    try:
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.05)
            done = sum(len(one.labels) for one in told.values())
            if kills < options.kills and done >= count * (kills + 1) / (options.kills + 1):
                memory.append(page.memory())
                page.kill()
                kills += 1
                page.start()
        seconds = time.monotonic() - began
        memory.append(page.memory())
    finally:
        stop.set()
        page.process.send_signal(signal.SIGINT)
        page.process.wait()
    return {
        "seconds": round(seconds, 1),
        "kills": kills,
        "memory_mib": [round(one, 1) for one in memory],
    } | judged(campaign, told, count)


def judged(campaign: Path, told: dict[str, Told], count: int) -> dict[str, Any]:
    """What people were told against what the log and the table hold."""
    folder = CampaignFolder(Folder(str(campaign)))
    _, entries, _ = read_entries(Path(folder.round(0).where(SAID_LOG)))
    said = latest(entries)
    lost = sum(
        said.get(number, {}).get(who) is None or said[number][who].label != label
        for who, one in told.items()
        for number, label in one.labels.items()
    )
    doubled = sum(times > 1 for times in Counter((one.who, one.question) for one in entries).values())
    table = pq.read_table(campaign / "round-00" / "annotated.parquet")
    pixels = {(row["image_id"], row["x"], row["y"]) for row in table.to_pylist()}
    times = np.concatenate([one.seconds for one in told.values()]) * 1000
    return {
        "people": len(told),
        "questions": folder.round(START).count_rows(QUERIES),
        "answers": sum(len(one.labels) for one in told.values()),
        "lost": lost,
        "doubled": doubled,
        "unanswered": count - len(pixels),
        "refused": dict(sum((one.refused for one in told.values()), Counter[int]())),
        "answer_ms": {
            "median": round(float(np.median(times)), 1),
            "p95": round(float(np.quantile(times, 0.95)), 1),
        },
    }


def main(options: Options) -> None:
    """Run it, and write what came of it."""
    head = provenance(MEASURES)
    found = run(options)
    RESULT.write_text(json.dumps({"provenance": head, "seed": options.seed, **found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(tyro.cli(Options, description=__doc__))
