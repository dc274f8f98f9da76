"""How fast the page of `atal annotate` is, measured in a real browser.

    python benchmarks/page_speed.py --train /path/to/DUTS-TR --out runs/page

Takes Playwright and a Chromium (`--chromium`), which the project does not install. Real images are asked
about four times each; Chromium opens the link of a person and answers every question by keyboard, after
a pause that is shorter than any person's. The browser's own clock says how long it takes from the start
of the navigation until both pictures of the first question are there, and from a key until the next question
is painted; every twentieth answer is taken back and given again.

Writes benchmarks/results/page_speed.json, and screenshots into the folder: wide, narrow, dark, and review.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import tyro
from machine import provenance
from open_questions import ATAL, asked

from atal_ray.config import DataConfig

RESULT = Path(__file__).parent / "results" / "page_speed.json"
MEASURES = ("atal_ray.annotation", "atal_ray.campaign")
WATCH = """() => {
  window.times = [];
  let pressed = 0, shown = document.body.dataset.question;
  addEventListener("keydown", () => { pressed = performance.now(); }, true);
  new MutationObserver(() => {
    if (shown === document.body.dataset.question) return;  // the same question, told again by the server
    shown = document.body.dataset.question;
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => window.times.push(performance.now() - pressed);
      channel.port2.postMessage(0);  // after the frame was painted
    });
  }).observe(document.body, { attributeFilter: ["data-question"] });
}"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is run."""

    train: Path
    out: Path = Path("runs/page")
    chromium: Path = Path("/usr/bin/chromium")
    images: int = 50
    points: int = 4
    pause_ms: int = 300
    """From a question to its answer: people take 900 ms at best."""


def run(options: Options) -> dict[str, Any]:
    """Answer everything in a browser; the times."""
    data = DataConfig(train=str(options.train.resolve()), limit=options.images)
    campaign = asked(data, options.points, options.out.resolve() / "run")
    command = [*ATAL, "annotate", str(campaign), "--port", "0", "--people", "ann"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            link = server.stdout.readline().partition(": ")[2].strip()
            found = drive(options, link)
        finally:
            server.terminate()
    labels = pq.read_table(campaign / "round-00" / "annotated.parquet")["label"].to_pylist()
    return {**found, "answers": len(labels)}


def drive(options: Options, link: str) -> dict[str, Any]:
    """What the browser measured."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(options.chromium))
        version = browser.version
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        problems: list[str] = []
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(link)
        page.wait_for_function(
            "() => ['picture', 'crop'].every(id => { const i = document.getElementById(id);"
            " return i.src && i.complete && i.naturalWidth; })"
        )
        ready = page.evaluate("() => performance.now()")
        page.screenshot(path=options.out / "wide.png")
        page.evaluate(WATCH)
        keys, count = "fjf j", options.images * options.points
        for number in range(count):
            page.wait_for_timeout(options.pause_ms)
            press(page, keys[number % len(keys)])
            if number % 20 == 19 and number + 1 < count:
                page.wait_for_timeout(options.pause_ms)
                press(page, "Backspace")
                page.wait_for_timeout(options.pause_ms)
                press(page, keys[number % len(keys)])
        page.wait_for_function("() => /every question/i.test(document.getElementById('message').textContent)")
        times = np.array(page.evaluate("() => window.times"))
        page.keyboard.press("r")
        page.wait_for_function("() => document.querySelectorAll('#grid img[src]').length > 20")
        page.wait_for_timeout(500)
        page.screenshot(path=options.out / "review.png")
        looks: dict[str, dict[str, Any]] = {
            "narrow": {"viewport": {"width": 420, "height": 860}},
            "dark": {"viewport": {"width": 1400, "height": 900}, "color_scheme": "dark"},
        }
        for name, look in looks.items():
            other = browser.new_page(**look)
            other.goto(link)
            other.wait_for_function("() => document.getElementById('progress').textContent")
            other.keyboard.press("r")
            other.wait_for_timeout(1500)
            other.screenshot(path=options.out / f"{name}-review.png")
        browser.close()
    quantiles = {"median": 0.5, "p95": 0.95, "largest": 1.0}
    return {
        "chromium": version,
        "ready_ms": round(ready, 1),
        "next_ms": {name: round(float(np.quantile(times, at)), 1) for name, at in quantiles.items()},
        "timed": len(times),
        "problems": problems,
    }


def press(page: Any, key: str) -> None:
    """Press a key, and wait for the next question."""
    before = page.evaluate("() => window.times.length")
    last = page.evaluate("() => document.querySelector('#question').hidden")
    page.keyboard.press("Space" if key == " " else key)
    if not last:
        page.wait_for_function(
            f"() => window.times.length > {before} || document.querySelector('#question').hidden"
        )


def main(options: Options) -> None:
    """Run it, and write what came of it."""
    options.out.mkdir(parents=True, exist_ok=True)
    head = provenance(MEASURES)
    found = run(options)
    sizes = {"images": options.images, "points": options.points, "pause_ms": options.pause_ms}
    RESULT.write_text(json.dumps({"provenance": head, **sizes, **found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
