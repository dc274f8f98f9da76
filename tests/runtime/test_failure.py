"""What a person reads when a worker fails."""

import pytest
import ray
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError, WorkerHealthCheckTimeoutError

from atal_ray.errors import CampaignError, DataError
from atal_ray.runtime.failure import plain_error


class Wrapped(Exception):
    def __init__(self, cause: BaseException) -> None:
        super().__init__("a page of traceback")
        self.cause = cause


class GroupFailed(Exception):
    def __init__(self, failures: dict[int, BaseException]) -> None:
        super().__init__("workers failed")
        self.worker_failures = failures


def test_own_error_is_found_behind_any_number_of_wrappers():
    inner = RuntimeError("user code")
    inner.__cause__ = DataError("a.jpg cannot be decoded")
    found = plain_error(Wrapped(Wrapped(inner)), "query")
    assert type(found) is DataError
    assert str(found) == "a.jpg cannot be decoded"


def test_own_error_of_one_worker_wins_over_the_lost_connection_of_another():
    failures: dict[int, BaseException] = {
        0: RuntimeError("connection closed by peer"),
        1: Wrapped(DataError("a.jpg cannot be decoded")),
    }
    assert str(plain_error(GroupFailed(failures), "training")) == "a.jpg cannot be decoded"


def test_own_error_is_read_from_the_text_that_is_left_of_it():
    text = "worker\n  File x\natal_ray.errors.DataError: a.jpg: cannot be decoded\n\nThe above exception"
    found = plain_error(RuntimeError(text), "query")
    assert type(found) is DataError
    assert str(found) == "a.jpg: cannot be decoded"


def test_other_errors_are_one_sentence():
    found = plain_error(Wrapped(ValueError("first line\nlast line")), "query of round 1")
    assert type(found) is CampaignError
    assert str(found) == "query of round 1 failed: ValueError: last line"
    assert str(plain_error(KeyError(), "x")) == "x failed: KeyError: no message"


def test_errors_that_cause_each_other_end():
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    assert str(plain_error(first, "x")) == "x failed: RuntimeError: second"


class ActorDiedError(Exception):
    """As Ray calls it."""


def test_the_death_of_a_process_is_said_in_words():
    found = plain_error(GroupFailed({0: ActorDiedError("a page\nof text")}), "round 0: training")
    assert str(found).startswith("round 0: training failed: a worker's process ended without a word")


@pytest.mark.parametrize(
    "cause", [ray.exceptions.ActorDiedError(), ray.exceptions.NodeDiedError("a page\nof text")]
)
def test_a_death_that_ray_train_finds_when_it_asks_a_worker_is_said_in_words(cause: Exception):
    asked = WorkerHealthCheckFailedError("A worker health check failed.", cause)
    found = plain_error(WorkerGroupError("text", {0: asked}), "round 0: training")
    assert str(found).startswith("round 0: training failed: a worker's process ended without a word")


def test_a_worker_that_hangs_is_said_in_words():
    found = plain_error(WorkerGroupError("text", {0: WorkerHealthCheckTimeoutError("late")}), "training")
    assert (
        str(found) == "training failed: a worker did not answer for minutes: its machine hangs or is cut off"
    )
