"""Press Ctrl-C, or send SIGTERM, in every stage of every command on Ray, and let the same command go on.

    python benchmarks/interruptions.py --train DUTS-TR --test ECSSD --folder /tmp/interruptions

Real images, a small network, a local Ray for each start. Every command is stopped once in each of its
stages, by one signal, then given again until it has come to its end; its points (or its table) are compared
with those of a run that nobody disturbed. Writes benchmarks/results/interruptions.json, prints the table.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

import psutil
import tyro
from machine import provenance

from atal_ray.campaign.campaign_folder import POINTS, CampaignFolder
from atal_ray.runtime.stop import SENTENCE
from atal_ray.store.folder import Folder

RESULTS = Path(__file__).parent / "results"
MEASURES = ("atal_ray.cli", "atal_ray.runtime")
Signal = Literal["SIGINT", "SIGTERM"]
HOLD_SECONDS = 4.0
"""That a stage waits before its work: on so few images some would be over before anyone could press a key."""
MOST_SECONDS, END_SECONDS = 300.0, 60.0
STAGE = """
import os, pathlib, sys, time
from importlib import import_module
module, name, hold, mark = sys.argv[1:5]
owner, *inner, name = import_module(module), *name.split(".")
for part in inner:
    owner = getattr(owner, part)
work = getattr(owner, name)
def held(*arguments, **named):
    pathlib.Path(mark).touch()
    time.sleep(float(hold))
    return work(*arguments, **named)
setattr(owner, name, held)
del sys.argv[1:5]
from atal_ray.cli import main
main()
"""


@dataclass(frozen=True)
class Stage:
    """A function of the driver, or a method as Class.method, and how long it waits before its work."""

    name: str
    module: str
    function: str
    hold: float = 0.0
    """0: it is work on Ray, which is interrupted some seconds after its start."""
    after: float = HOLD_SECONDS / 2
    """Seconds from its start to the signal."""


def _of_campaign() -> tuple[Stage, ...]:
    module, rounds = "atal_ray.campaign.run", "atal_ray.campaign.rounds"
    return (
        Stage("prepare", module, "prepare", HOLD_SECONDS),
        Stage("start of Ray", "ray", "init", after=1.0),
        Stage("random start", rounds, "query"),
        Stage("annotation", rounds, "annotate", HOLD_SECONDS),
        Stage("training", rounds, "train", after=8.0),
        Stage("evaluation", rounds, "look"),
        Stage("query", "atal_ray.campaign.query.ask", "Query.finish", HOLD_SECONDS),
        Stage("maps for the report", "atal_ray.campaign.gallery", "RoundGallery.finish", HOLD_SECONDS),
        Stage("report", module, "write_report", HOLD_SECONDS),
    )


STAGES: dict[str, tuple[Stage, ...]] = {
    "run": _of_campaign(),
    "generate": (
        Stage("prepare", "atal_ray.campaign.generate", "prepare", HOLD_SECONDS),
        Stage("query", "atal_ray.campaign.generate", "query"),
        Stage("annotation", "atal_ray.campaign.generate", "annotate", HOLD_SECONDS),
    ),
    "sweep": (
        Stage("prepare", "atal_ray.studies.sweep.sweep", "prepare", HOLD_SECONDS),
        Stage("random start", "atal_ray.studies.sweep.sweep", "query"),
        Stage("trials starting", "atal_ray.runtime.ray_tune", "fit", after=5.0),
        Stage("trials training", "atal_ray.runtime.ray_tune", "fit", after=20.0),
        Stage("report", "atal_ray.studies.sweep.sweep", "write_sweep_report", HOLD_SECONDS),
    ),
    "cross-validate": (
        *_of_campaign(),
        Stage("table", "atal_ray.studies.cross_validation", "_write", HOLD_SECONDS),
    ),
    "evaluate": (
        Stage("listing", "atal_ray.evaluation.compare", "find_masks", HOLD_SECONDS),
        Stage("prediction", "atal_ray.evaluation.compare", "predict_maps"),
        Stage("scoring", "atal_ray.evaluation.compare", "score_maps", after=0.5),  # 2 s later all may be done
        Stage("report", "atal_ray.evaluation.compare", "write_score_report", HOLD_SECONDS),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is interrupted."""

    train: Path
    """Folder of real images with masks."""
    test: Path
    """A test set."""
    folder: Path
    """Where the results go."""
    commands: tuple[str, ...] = tuple(STAGES)
    signals: tuple[Signal, ...] = ("SIGINT", "SIGTERM")
    images: int = 12
    side: int = 96
    fields: tuple[str, ...] = field(default_factory=tuple)
    """More options of the commands that run campaigns."""


@dataclass(frozen=True)
class Interruption:
    """What became of one signal."""

    status: int
    seconds: float
    sentence: bool
    left_behind: int
    """Processes of the command that were still there when it had ended, and some seconds after."""


def campaign_fields(options: Options, rounds: int = 2) -> list[str]:
    """Options of a small campaign."""
    return [
        *("--data.train", str(options.train), "--data.tests", str(options.test)),
        *("--data.limit", str(options.images), "--data.test-limit", str(options.images)),
        *("--network.name", "f3net-small", "--train.size", str(options.side)),
        *("--train.scales", str(options.side), "--train.epochs", "2", "--train.cycles", "2"),
        *("--train.batch-size", "4", "--train.threads", "1", "--query.threads", "1"),
        *("--query.shard-size", "4", "--query.batch-size", "4", "--budget.total", str(2 * rounds)),
        *("--resources.object-store-mib", "200"),
        *options.fields,
    ]


def arguments(command: str, folder: Path, options: Options, trained: Path) -> list[str]:
    """The command line that works in a folder; some commands use a campaign that is trained."""
    fields = campaign_fields(options)
    return {
        "run": ["run", "demo", str(folder), *fields],
        "generate": ["generate", str(trained), str(folder), "--images", str(trained.parent / "images")],
        "sweep": ["sweep", "demo", str(folder), "--over", "query.top-percent=3,30", *fields],
        "cross-validate": [
            *("cross-validate", "demo", str(folder), "--networks", "f3net-small", "--full", "same", *fields),
        ],
        "evaluate": [
            *("evaluate", str(folder), "--masks", str(trained.parent / "images"), "--checkpoint"),
            *(str(trained / "round-00/snapshots/1.pt"), "--network.name", "f3net-small"),
            *("--size", str(options.side)),
        ],
    }[command]


def interrupt(stage: Stage, line: list[str], number: Signal, log: Path) -> Interruption:
    """Give the command, and send it one signal in the stage."""
    mark = log.with_suffix(".mark")
    mark.unlink(missing_ok=True)
    held = [sys.executable, "-c", STAGE, stage.module, stage.function, str(stage.hold), str(mark), *line]
    with log.open("ab") as file:
        before = log.stat().st_size
        process = subprocess.Popen(held, stdout=file, stderr=file)
        _await(mark.exists, process, f"{stage.name} never began: see {log}")
        time.sleep(stage.after)
        children = psutil.Process(process.pid).children(recursive=True)
        began = time.monotonic()
        process.send_signal(getattr(signal, number))
        try:
            status = process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        seconds = time.monotonic() - began
    _, alive = psutil.wait_procs(children, timeout=15)
    for child in alive:
        child.kill()
    return Interruption(status, seconds, SENTENCE in log.read_bytes()[before:].decode(), len(alive))


def finish(line: list[str], log: Path) -> None:
    """Give the command, which must come to its end."""
    with log.open("ab") as file:
        command = [sys.executable, "-c", "from atal_ray.cli import main; main()", *line]
        subprocess.run(command, stdout=file, stderr=file, check=True, timeout=1200)


def result_of(command: str, folder: Path) -> Any:
    """What a command came to: the points of its campaigns, or its table."""
    if command == "evaluate":
        return (folder / "table.md").read_text(encoding="utf-8")
    campaigns = sorted({path.parent.parent for path in folder.rglob(POINTS)})
    return {str(place.relative_to(folder)): list(_points(place)) for place in campaigns}


def _points(place: Path) -> Iterator[list[dict[str, Any]]]:
    files = CampaignFolder(Folder(str(place)))
    for number in range(100):
        if files.round(number).exists(POINTS):
            yield files.round(number).read_table(POINTS).to_pylist()


def _await(there: Callable[[], bool], process: "subprocess.Popen[bytes]", sentence: str) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while not there():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(sentence)
        time.sleep(0.05)


def interrupt_command(command: str, number: Signal, options: Options, trained: Path) -> list[dict[str, Any]]:
    """One row for each stage: the command is interrupted there, goes on to the next one, comes to its end."""
    folder, calm = options.folder / f"{command}-{number}", options.folder / f"{command}-calm"
    log = options.folder / f"{command}-{number}.log"
    shutil.rmtree(folder, ignore_errors=True)
    log.unlink(missing_ok=True)
    if not calm.exists():
        finish(arguments(command, calm, options, trained), options.folder / f"{command}-calm.log")
    rows = []
    line = arguments(command, folder, options, trained)
    for stage in STAGES[command]:
        found = interrupt(stage, line, number, log)
        rows.append({"command": command, "stage": stage.name, "signal": number, **vars(found)})
        print(_line(rows[-1]), flush=True)
    finish(line, log)
    equal = result_of(command, folder) == result_of(command, calm)
    return [{**row, "equal": equal} for row in rows]


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['command']:15} {row['stage']:20} {row['signal']:8} status {row['status']:4} after "
        f"{row['seconds']:5.1f} s, sentence {row['sentence']}, left behind {row['left_behind']}"
    )


def make_trained(options: Options) -> Path:
    """A finished campaign of one round, for the commands that use one; images for them lie beside it."""
    trained = options.folder / "trained"
    images = options.folder / "images"
    if not images.exists():
        from atal_ray.data.synthetic.dataset import write_dataset

        write_dataset(images, count=24, seed=5)
    fields = [*campaign_fields(options, rounds=1), "--resources.backend", "inline"]
    finish(["run", "demo", str(trained), *fields], options.folder / "trained.log")
    return trained


def main(options: Options) -> None:
    head = provenance(MEASURES)
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what is ignored here, the commands would ignore
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    options.folder.mkdir(parents=True, exist_ok=True)
    trained = make_trained(options)
    rows = []
    for command, number in product(options.commands, options.signals):
        done = options.folder / f"{command}-{number}.json"
        if not done.exists():  # a second call goes on
            done.write_text(json.dumps(interrupt_command(command, number, options, trained)))
        rows += json.loads(done.read_text())
    result = {
        "what": __doc__.partition("\n")[0],
        "provenance": head,
        "data": f"{options.images} images of {options.train.name} and of {options.test.name}, "
        f"{options.side} px",
        "interruptions": len(rows),
        "with_the_right_status": sum(row["status"] == 128 + getattr(signal, row["signal"]) for row in rows),
        "with_the_sentence": sum(row["sentence"] for row in rows),
        "with_equal_results": sum(row["equal"] for row in rows),
        "longest_seconds": max(row["seconds"] for row in rows),
        "rows": [{**row, "seconds": round(row["seconds"], 1)} for row in rows],
    }
    (RESULTS / "interruptions.json").write_text(json.dumps(result, indent=1) + "\n")
    print({key: value for key, value in result.items() if key != "rows"})


if __name__ == "__main__":
    main(tyro.cli(Options))
