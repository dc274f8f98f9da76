"""One Ctrl-C or SIGTERM in any stage of any command ends it with its status; the command then goes on."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from campaigns import tiny_config
from interruptions import STAGES, Options, interrupt_command, make_trained, result_of
from plain_reports import plain_reports

from atal_ray import cli
from atal_ray.config import NetworkConfig, config_file
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.runtime import stop

SIGNALS = [signal.SIGINT, signal.SIGTERM]
CAMPAIGN = {
    "prepare": "atal_ray.campaign.run:prepare",
    "random start, query": "atal_ray.campaign.query.score:PickShard.__call__",
    "annotation": "atal_ray.campaign.rounds:annotate",
    "training": "atal_ray.training.fast_step:train_step",
    "evaluation": "atal_ray.campaign.evaluate:EvaluateShard.__call__",
    "maps for the report": "atal_ray.campaign.gallery:GalleryActor.__call__",
    "report": "atal_ray.campaign.run:write_report",
}
"""Stage -> a function in it."""
COMMANDS = {
    "run": CAMPAIGN,
    "generate": {
        "prepare": "atal_ray.campaign.generate:prepare",
        "query": CAMPAIGN["random start, query"],
        "annotation": "atal_ray.campaign.generate:annotate",
    },
    "sweep": {
        **CAMPAIGN,
        "prepare": "atal_ray.studies.sweep.sweep:prepare",
        "table": "atal_ray.studies.sweep.sweep:write_sweep_report",
    },
    "cross-validate": {**CAMPAIGN, "table": "atal_ray.studies.cross_validation:_write"},
    "evaluate": {
        "listing": "atal_ray.evaluation.compare:find_masks",
        "prediction": "atal_ray.evaluation.predict:PredictShard.__call__",
        "scoring": "atal_ray.evaluation.score_maps:MapScorer.__call__",
        "report": "atal_ray.evaluation.compare:write_score_report",
    },
}
CASES = [
    pytest.param(command, number, marks=() if command == "run" else pytest.mark.slow)
    for command in COMMANDS
    for number in SIGNALS
]


@dataclass(frozen=True)
class Lines:
    """Command lines, inline, on four images with a toy network; results of commands that nobody disturbed."""

    folder: Path
    lines: dict[str, list[str]]

    def of(self, command: str, where: Path) -> list[str]:
        """What works in a folder."""
        return [word.replace("{}", str(where)) for word in self.lines[command]]

    def calm(self, command: str) -> Path:
        """The folder of an undisturbed one; the others use that of `run`."""
        for name in ("run", command):
            if not (self.folder / name).exists():
                assert status_of(self.of(name, self.folder / name)) == 0
        return self.folder / command


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lines]:
    folder = tmp_path_factory.mktemp("interruptions")
    train, test = write_dataset(folder / "train", count=4), write_dataset(folder / "test", count=2, seed=1)
    config = tiny_config(train, (test,), network=NetworkConfig(name="toy_network:Toy"))
    plan = folder / "config.yaml"
    plan.write_text(config_file.to_yaml(replace(config, query=replace(config.query, shard_size=2))))
    by_command = {
        "run": ["run", str(plan), "{}"],
        "generate": ["generate", str(folder / "run"), "{}", "--images", str(test), "--points", "2"],
        "sweep": ["sweep", str(plan), "{}", "--over", "seed=0,1"],
        "cross-validate": [
            *("cross-validate", str(plan), "{}", "--networks", "toy_network:Toy", "--full", "same"),
        ],
        "evaluate": [
            *("evaluate", "{}", "--masks", str(test), "--network.name", "toy_network:Toy", "--size", "64"),
            *("--checkpoint", str(folder / "run/round-00/snapshots/1.pt"), "--backend", "inline"),
        ],
    }
    with plain_reports(), handlers_as_before():
        yield Lines(folder, by_command)


@contextmanager
def handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def status_of(arguments: list[str]) -> int:
    """The exit status of a command in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["atal", *arguments])
        patch.setattr(stop, "_stop", stop._stop)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@contextmanager
def struck(function: str, strike: Callable[[], None]) -> Iterator[list[bool]]:
    """Something happens when the function is called for the first time."""
    module, _, path = function.partition(":")
    owner: Any = import_module(module)
    *classes, name = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    work = getattr(owner, name)
    came: list[bool] = []

    def strikes(*arguments: Any, **named: Any) -> Any:
        if not came:
            came.append(True)
            strike()
        return work(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, strikes)
        yield came


@pytest.mark.parametrize(("command", "number"), CASES)
def test_one_signal_in_any_stage_ends_a_command_which_then_goes_on(
    lines: Lines, command: str, number: signal.Signals, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    calm = lines.calm(command)
    for function in COMMANDS[command].values():
        with struck(function, lambda: os.kill(os.getpid(), number)) as came:
            status = status_of(lines.of(command, tmp_path / "run"))
        assert came, f"{function} was not called"
        assert status == 128 + number, function
        assert capfd.readouterr().err.endswith(f"{stop.SENTENCE}\n")
    assert status_of(lines.of(command, tmp_path / "run")) == 0
    assert result_of(command, tmp_path / "run") == result_of(command, calm)


def test_a_disk_that_is_full_in_any_stage_is_a_sentence_and_the_campaign_goes_on_when_there_is_room(
    lines: Lines, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    calm = lines.calm("run")
    for function in CAMPAIGN.values():
        with pytest.MonkeyPatch.context() as patch:

            def strike(patch: pytest.MonkeyPatch = patch) -> None:
                patch.setattr(os, "fsync", full)  # before a file gets its name

            with struck(function, strike) as came:
                status = status_of(lines.of("run", tmp_path / "run"))
        assert came, f"{function} was not called"
        assert status == 2, function
        sentence = capfd.readouterr().err.splitlines()[-1]
        assert sentence.startswith(f"atal: {tmp_path / 'run'}"), function
        assert sentence.endswith("cannot be written: No space left on device"), function
        assert not list((tmp_path / "run").rglob(".unfinished-*")), function
    assert status_of(lines.of("run", tmp_path / "run")) == 0
    assert result_of("run", tmp_path / "run") == result_of("run", calm)


def test_a_campaign_that_waits_for_people_has_a_status_of_its_own(
    lines: Lines, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert status_of([*lines.of("run", tmp_path / "run"), "--budget.annotator", "answers"]) == 75
        assert "atal: waiting for answers: " in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("command", STAGES)
def test_the_same_on_ray(command: str, number: Any, tmp_path: Path) -> None:
    train, test = (
        write_dataset(tmp_path / "train", count=6),
        write_dataset(tmp_path / "test", count=4, seed=1),
    )
    options = Options(train=train, test=test, folder=tmp_path, images=6, side=64)
    with handlers_as_before():
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what is ignored here, they would ignore
        rows = interrupt_command(command, number, options, make_trained(options))
    wanted = {"status": 128 + getattr(signal, number), "sentence": True, "left_behind": 0, "equal": True}
    for row in rows:
        assert {name: row[name] for name in wanted} == wanted, row
        assert row["seconds"] < stop.END_SECONDS + 5, row
