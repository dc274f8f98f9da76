"""The exit status of a job; and jobs as people submit them, to a Ray head of this test's own: their logs and
their folders.
"""

import os
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command_lines import JOBS

from atal_ray import cli
from atal_ray.data.synthetic.dataset import write_dataset

ROOT = Path(__file__).resolve().parents[1]
RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
SMALL = (
    "--train.size 64 --train.scales 64 --train.epochs 1 --train.cycles 1 --train.batch-size 2 "
    "--train.threads 1 --query.threads 1"
)
ONE_ROUND = "--budget.total 2 --data.limit 4 --data.test-limit 2"
Submit = Callable[..., str]


def slow(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that submits jobs."""
    return pytest.mark.slow(pytest.mark.timeout(900)(test))


def test_every_job_is_tested() -> None:
    assert {script.name for script in (ROOT / "jobs").glob("*.py")} == set(JOBS)


@pytest.mark.parametrize(("script", "command"), JOBS.items())
@pytest.mark.parametrize("status", [0, 1, 2])
def test_a_job_ends_with_the_status_of_its_command(
    monkeypatch: pytest.MonkeyPatch, script: str, command: str, status: int
) -> None:
    given: list[list[str]] = []

    def dispatch(arguments: list[str]) -> int:
        given.append(arguments)
        return status

    monkeypatch.setattr(cli, "dispatch", dispatch)
    monkeypatch.setattr("sys.argv", [script, "paper", "F"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "jobs" / script), run_name="__main__")
    assert end.value.code == status
    assert given == [[command, "paper", "F"]]


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        ("run.py demo F --train.cycles 0", "atal: train.cycles (L) is 0: at least one snapshot is needed"),
        ("sweep.py papper F --over seed=0,1", "atal: 'papper' is neither a preset"),
    ],
)
def test_the_process_of_a_job_with_a_wrong_argument_fails(tmp_path: Path, job: str, sentence: str) -> None:
    script, *arguments = shlex.split(job)
    ended = subprocess.run(
        [sys.executable, ROOT / "jobs" / script, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 2, ended.stderr
    assert sentence in ended.stderr
    assert list(tmp_path.iterdir()) == []


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """The address of a head with a dashboard, which is ended by its process id: `ray stop` would end every
    Ray on the machine.
    """
    pytest.importorskip("aiohttp_cors", reason="needs the extra `jobs`")
    folder = Path(tempfile.mkdtemp(prefix="jobs-"))  # a short path: Ray's sockets lie in it
    gcs, dashboard, agent, client = free_ports(4)
    options = {
        "port": gcs,
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": agent,
        "ray-client-server-port": client,
        "min-worker-port": 0,  # any that is free
        "max-worker-port": 0,
        "num-cpus": 4,
        "object-store-memory": 150 * 2**20,
        "temp-dir": folder,
    }
    command = [*RAY, "start", "--head", "--block", *(f"--{name}={value}" for name, value in options.items())]
    environment = {**os.environ, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"}  # nothing is left to wait for
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    address = f"http://127.0.0.1:{dashboard}"
    try:
        wait_for(address, process, folder / "head.log")
        yield address
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/api/version", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"no dashboard after two minutes: {log.read_text()}")


@pytest.fixture
def submit(head: str) -> Submit:
    """Submit a job from the top of the clone, see that its exit status is the right one, and return what it
    wrote.
    """

    def run(job: str, *, status: int = 0) -> str:
        entrypoint = [sys.executable, *shlex.split(job)]
        command = [*RAY, "job", "submit", "--address", head, "--working-dir", ".", "--", *entrypoint]
        environment = {
            key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "RAY_ADDRESS")
        }
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    return run


@slow
def test_a_campaign_then_points_then_scores(submit: Submit, tmp_path: Path) -> None:
    images = write_dataset(tmp_path / "images", count=3)
    log = submit(f"jobs/run.py demo {tmp_path}/run {SMALL} {ONE_ROUND}")
    assert f"done: {tmp_path}/run/report.html" in log
    assert (tmp_path / "run/report.html").is_file()
    assert "\r" not in log
    assert sum("round 0: training:" in line for line in log.splitlines()) < 20

    log = submit(f"jobs/generate.py {tmp_path}/run {tmp_path}/points --images {images} --points 2")
    assert f"done: 6 points of 3 images: {tmp_path}/points/round-01/points.parquet" in log
    assert pq.read_table(tmp_path / "points/round-01/points.parquet").num_rows == 6

    log = submit(f"jobs/evaluate.py {tmp_path}/scores --masks {images} --maps {images}/masks")
    assert f"done: {tmp_path}/scores/table.md" in log
    assert (tmp_path / "scores/table.md").is_file()


@slow
def test_a_campaign_that_waits_for_people_is_seen_in_the_state_of_its_job(
    submit: Submit, tmp_path: Path
) -> None:
    log = submit(f"jobs/run.py demo {tmp_path}/run {SMALL} {ONE_ROUND} --budget.annotator answers", status=1)
    assert "atal: waiting for answers: " in log
    assert "exit code 75" in log


@slow
def test_a_sweep_on_a_cluster_that_is_there(submit: Submit, tmp_path: Path) -> None:
    log = submit(f"jobs/sweep.py demo {tmp_path}/sweep {SMALL} {ONE_ROUND} --over query.top-percent=3,10")
    assert "trials: 2, 2 at once; shared first rounds: 1" in log
    assert f"done: {tmp_path}/sweep/sweep.html" in log
    assert {trial.name for trial in (tmp_path / "sweep/trials").iterdir()} == {
        "top_percent-3",
        "top_percent-10",
    }
    log = submit(
        f"jobs/sweep.py demo {tmp_path}/large {SMALL} --over seed=0,1 --resources.query-actors 4", status=1
    )
    assert "atal: the Ray cluster has 4 CPUs, but this configuration takes 5 at once" in log


@slow
def test_studies_on_a_cluster_that_is_there(submit: Submit, tmp_path: Path) -> None:
    log = submit(
        f"jobs/study.py table3 {tmp_path}/s --studies table2 table3 --scale tiny --seeds 1 "
        "--resources.backend ray --train.epochs 2 --query.threads 1"
    )
    assert "campaigns: 4, " in log
    assert f"done: {tmp_path}/s/study.html" in log
    units = [unit.name.split("-")[0] for unit in (tmp_path / "s/units").iterdir()]
    assert sorted(units) == ["atal"] * 2 + ["finished"] * 2 + ["full"] * 2 + ["given"] * 2
    page = (tmp_path / "s/study.html").read_text()
    assert " failed: " not in page
    assert "not finished" not in page


@slow
@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        (
            "jobs/run.py demo {} --train.threads 99 " + ONE_ROUND,
            "atal: the Ray cluster has 4 CPUs, but this configuration takes 100 at once",
        ),
        ("jobs/run.py demo {} --train.thread 2", "--train.thread"),
    ],
)
def test_a_wrong_argument_fails_with_its_sentence(
    submit: Submit, tmp_path: Path, job: str, sentence: str
) -> None:
    log = submit(job.replace("{}", str(tmp_path)), status=1)
    assert sentence.replace("{}", str(tmp_path)) in log
    assert "Traceback" not in log
    assert "exit code 2" in log
