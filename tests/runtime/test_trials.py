"""Trials one after another in this process: what is reported, and that a failure stops no other trial."""

from collections.abc import Callable
from pathlib import Path

import pytest
from campaigns import tiny_config

from atal_ray.errors import CampaignError, ConfigError, DataError
from atal_ray.runtime.trials import Asha, TrialReport, TrialSet, run_trials, trials_session
from atal_ray.store.folder import Folder


class Notes:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_report(self, name: str, report: TrialReport) -> None:
        self.lines.append(f"{name} {report.step}: {report.score}")

    def on_end(self, name: str, last: TrialReport) -> None:
        self.lines.append(f"{name} ended at {last.step}")


def trials(
    run: Callable[[str, Callable[[TrialReport], None]], None], folder: Path, **changes: object
) -> TrialSet:
    return TrialSet(run, {"a": {}, "b": {}, "c": {}}, Folder(str(folder)), "trials", **changes)


def test_one_trial_after_the_other_reports_its_steps(tmp_path: Path) -> None:
    def run(name: str, report: Callable[[TrialReport], None]) -> None:
        for step in range(2):
            report(TrialReport(step, ord(name) + step / 10))

    notes = Notes()
    assert run_trials(trials(run, tmp_path), notes, "inline") == {}
    assert notes.lines == [
        "a 0: 97.0", "a 1: 97.1", "a ended at 1",
        "b 0: 98.0", "b 1: 98.1", "b ended at 1",
        "c 0: 99.0", "c 1: 99.1", "c ended at 1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (DataError("b.jpg is cut short"), DataError, "b.jpg is cut short"),
        (ValueError("no"), CampaignError, "trial b failed: ValueError: no"),
    ],
)
def test_a_failure_is_returned_and_the_others_run(
    tmp_path: Path, error: Exception, kind: type[Exception], sentence: str
) -> None:
    def run(name: str, report: Callable[[TrialReport], None]) -> None:
        report(TrialReport(0, 0.5))
        if name == "b":
            raise error

    notes = Notes()
    failed = run_trials(trials(run, tmp_path), notes, "inline")
    assert {name: (type(found), str(found)) for name, found in failed.items()} == {"b": (kind, sentence)}
    assert failed["b"].__cause__ is error  # for a debugger
    assert notes.lines == ["a 0: 0.5", "a ended at 0", "b 0: 0.5", "c 0: 0.5", "c ended at 0"]


def test_an_end_of_the_process_is_no_failure_of_a_trial(tmp_path: Path) -> None:
    def run(name: str, report: Callable[[TrialReport], None]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trials(trials(run, tmp_path), Notes(), "inline")


def test_asha_needs_trials_at_the_same_time(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="inline there is one"):
        run_trials(trials(lambda name, report: None, tmp_path, asha=Asha(True, 2, 4, 2)), Notes(), "inline")


def test_inline_there_is_one_at_once() -> None:
    config = tiny_config(Path("/data/train"))
    for wanted in (None, 1):
        with trials_session([config], wanted) as at_once:
            assert at_once == 1
    with (
        pytest.raises(ConfigError, match=r"trials-at-once is 2, but resources\.backend inline"),
        trials_session([config], 2),
    ):
        pass
