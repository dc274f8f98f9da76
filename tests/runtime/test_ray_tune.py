"""Which trials ASHA stops, and that a failure is one sentence whatever Ray Tune has left of it."""

from dataclasses import dataclass

import pytest

from atal_ray.errors import AtalError, CampaignError, DataError
from atal_ray.runtime.ray_tune import as_result, scheduler, trial_error
from atal_ray.runtime.trials import Asha, TrialReport


@dataclass(frozen=True)
class FinishedTrial:
    """What Ray Tune keeps of a trial that failed."""

    error: object = None
    trial_id: str = ""

    def get_error(self) -> object:
        return self.error


@pytest.mark.parametrize(
    ("left", "kind", "sentence"),
    [
        (
            "Traceback\n  File x\natal_ray.errors.DataError: a.jpg is cut short",
            DataError,
            "a.jpg is cut short",
        ),
        (DataError("a.jpg is cut short"), DataError, "a.jpg is cut short"),
        (ValueError("no"), CampaignError, "trial one failed: ValueError: no"),
        ("Traceback\nValueError: no", CampaignError, "trial one failed: RuntimeError: ValueError: no"),
        (None, CampaignError, "its machine vanished"),
    ],
)
def test_what_is_left_of_a_failure(left: object, kind: type[AtalError], sentence: str) -> None:
    found = trial_error(FinishedTrial(left), "one")
    assert (type(found), str(found)) == (kind, sentence)


def stopped(asha: Asha, reports: list[tuple[str, TrialReport]]) -> list[bool]:
    """Whether the trial is stopped after each report, without a cluster."""
    rule = scheduler(asha)
    trials = {name: FinishedTrial(trial_id=name) for name, _ in reports}
    for trial in trials.values():
        rule.on_trial_add(None, trial)
    return [
        rule.on_trial_result(None, trials[name], as_result(report)) == rule.STOP for name, report in reports
    ]


@pytest.mark.parametrize(
    ("higher_is_better", "wanted"), [(True, [False, True, False]), (False, [False, False, True])]
)
def test_the_worse_trial_is_stopped(higher_is_better: bool, wanted: list[bool]) -> None:
    asha = Asha(higher_is_better, grace=2, most=8, keep_one_in=2)
    scores = {"first": 0.5, "lower": 0.4, "higher": 0.6}
    reports = [(name, TrialReport(0, score, 2)) for name, score in scores.items()]
    assert stopped(asha, reports) == wanted


def test_trials_are_compared_at_rungs_alone() -> None:
    asha = Asha(True, grace=2, most=100, keep_one_in=3)  # rungs at 2, 6, 18 and 54 points
    good = [("good", TrialReport(step, 0.9, points)) for step, points in enumerate((2, 4, 6))]
    poor = [
        ("poor", TrialReport(0, 0.95, 2)),
        ("poor", TrialReport(1, 0.1, 4)),
        ("poor", TrialReport(2, 0.1, 6)),
    ]
    assert stopped(asha, [*good, *poor]) == [False] * 5 + [True]


def test_reports_without_a_resource_stop_nothing_and_count_for_nothing() -> None:
    asha = Asha(True, grace=2, most=4, keep_one_in=2)
    reports = [("a", TrialReport(0, 0.5, 2)), ("b", TrialReport(0, 0.1)), ("c", TrialReport(0, 0.6, 2))]
    assert stopped(asha, reports) == [False, False, False]
