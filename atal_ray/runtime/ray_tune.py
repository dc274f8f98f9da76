"""The trials of a study on Ray Tune."""

import logging
import os
import signal
import threading
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler

from atal_ray.errors import AtalError, CampaignError
from atal_ray.runtime.capacity import Place
from atal_ray.runtime.failure import plain_error
from atal_ray.runtime.ray_logs import forget_ended_workers
from atal_ray.runtime.room import RoomWatch
from atal_ray.runtime.trials import Asha, RunTrial, TrialObserver, TrialReport, TrialSet

TRIAL = {"memory": 2**20}
"""What a trial's own process takes: none of the CPUs that its stages count on, and Ray wants something."""


def fit(trials: TrialSet, observer: TrialObserver) -> dict[str, AtalError]:
    """Run the trials; returns why some failed, by their names."""
    os.environ |= {
        "RAY_AIR_NEW_OUTPUT": "0",  # the observer shows progress
        "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C stops everything
    }
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the reason of a failure is given at the end
    room = RoomWatch(trials.title, [Place(0, 0, trials.labels)], says_busy=False)
    watcher = _Watcher(observer, signal.getsignal(signal.SIGUSR1), room)
    system, path = trials.logs.open()
    tuner = tune.Tuner(
        tune.with_resources(partial(_trial, run=trials.run), _resources(trials.labels)),
        param_space={"job": tune.grid_search([{"trial": name, **of} for name, of in trials.fields.items()])},
        tune_config=tune.TuneConfig(
            scheduler=None if trials.asha is None else scheduler(trials.asha),
            max_concurrent_trials=trials.at_once,
            reuse_actors=False,  # a stopped trial still holds its folder's lock
            trial_name_creator=_name_of,
            trial_dirname_creator=_name_of,
        ),
        run_config=tune.RunConfig(
            name=f"{trials.title}-{datetime.now():%Y-%m-%d-%H-%M-%S}",
            storage_path=path,
            storage_filesystem=None if trials.logs.is_local else system,
            verbose=0,
            callbacks=[watcher],
        ),
    )
    tuner.fit()
    return {name: trial_error(trial, name) for name, trial in watcher.failed.items()}


def scheduler(asha: Asha) -> AsyncHyperBandScheduler:
    """Tune's own ASHA; it lets reports without a resource pass."""
    return AsyncHyperBandScheduler(
        time_attr="resource",
        metric="score",
        mode="max" if asha.higher_is_better else "min",
        max_t=asha.most,
        grace_period=asha.grace,
        reduction_factor=asha.keep_one_in,
    )


def trial_error(trial: Any, name: str) -> AtalError:
    """Why a trial failed; Tune has the exception, or its text, or nothing where its machine vanished."""
    found = trial.get_error() or CampaignError("its machine vanished")
    return plain_error(found if isinstance(found, BaseException) else RuntimeError(found), f"trial {name}")


def as_result(report: TrialReport) -> dict[str, Any]:
    """A report as Tune takes it."""
    return {name: value for name, value in vars(report).items() if value is not None}


def _trial(point: Mapping[str, Any], run: RunTrial) -> None:
    run(point["job"]["trial"], lambda report: tune.report(as_result(report)))


def _resources(labels: Mapping[str, str]) -> tune.PlacementGroupFactory:
    """What a trial's own process takes, and where: not on a spot machine that may vanish, where there are
    others.
    """
    selector = {"bundle_label_selector": [dict(labels)]} if labels else {}
    return tune.PlacementGroupFactory([TRIAL], **selector)


def _name_of(trial: Any) -> str:
    return str(trial.config["job"]["trial"])


def _report_of(result: Mapping[str, Any]) -> TrialReport:
    return TrialReport(int(result["step"]), float(result["score"]), result.get("resource"))


class _Watcher(tune.Callback):  # type: ignore[misc]
    """Hands on to an observer what Tune tells its callbacks, and notes which trials failed."""

    def __init__(self, observer: TrialObserver, handler: Any, room: RoomWatch) -> None:
        self.observer, self.handler, self.room = observer, handler, room
        self.failed: dict[str, Any] = {}
        self.seen: set[tuple[str, int]] = set()

    def setup(self, *_: Any, **__: Any) -> None:
        """The run starts; Tune has just taken the signal by which a lost lease is announced."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, self.handler)

    def on_step_begin(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Tune looks for something to do; the stages of the trials look for themselves."""
        self.room.look()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
    ) -> None:
        """A step of a trial is done; Tune calls this twice for the last one."""
        name, report = _name_of(trial), _report_of(result)
        if (name, report.step) not in self.seen:
            self.seen.add((name, report.step))
            self.observer.on_report(name, report)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A trial ended, by itself or because it was stopped."""
        forget_ended_workers()
        self.observer.on_end(_name_of(trial), _report_of(trial.last_result))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A trial failed, or its machine vanished."""
        self.failed[_name_of(trial)] = trial  # Tune knows the reason a little later
