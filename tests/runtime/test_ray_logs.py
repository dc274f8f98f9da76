"""Ray's logs go with what they could explain."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from atal_ray.runtime.ray_logs import forget_ended_workers, own_logs


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """The folder of a Ray, with the logs of a worker that runs (this process) and of one that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    logs = tmp_path / "session_1" / "logs"
    logs.mkdir(parents=True)
    for pid in (os.getpid(), ended.pid):
        for name in (f"python-core-worker-ab12_{pid}.log", f"worker-ab12-01000000-{pid}.err"):
            (logs / name).touch()
    for name in ("raylet.out", "gcs_server.out", "monitor.log"):
        (logs / name).touch()
    return logs.parent


def test_logs_of_ended_workers_go_and_others_stay(session: Path) -> None:
    forget_ended_workers()
    assert len(list((session / "logs").iterdir())) == 7  # it is nobody's that this process knows
    with own_logs(str(session)):
        forget_ended_workers()
        names = {path.name for path in (session / "logs").iterdir()}
    running = {f"python-core-worker-ab12_{os.getpid()}.log", f"worker-ab12-01000000-{os.getpid()}.err"}
    assert names == {*running, "raylet.out", "gcs_server.out", "monitor.log"}


def test_the_folder_goes_after_a_good_end_alone(session: Path) -> None:
    with pytest.raises(RuntimeError, match="failed"), own_logs(str(session)):
        raise RuntimeError("failed")
    assert session.exists()
    with own_logs(str(session)):
        pass
    assert not session.exists()


def test_the_folder_stays_where_everything_is_logged(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("atal_ray"), "isEnabledFor", lambda level: True)
    with own_logs(str(session)):
        pass
    assert session.exists()
