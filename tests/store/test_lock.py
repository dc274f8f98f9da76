import signal
import subprocess
import sys
from pathlib import Path

import pytest

from atal_ray.errors import CampaignError
from atal_ray.store.lock import locked

HOLD = """
import sys
from pathlib import Path
from atal_ray.store.lock import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_and_none_after_sigkill(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(CampaignError, match="run is in use by another process"), locked(folder):
            pytest.fail("two processes hold one folder")
        first.send_signal(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
        with locked(folder):
            pass
        with locked(folder):  # let go of at the end of the block
            pass
    finally:
        first.kill()
        first.communicate()


def test_an_error_in_the_block_lets_go(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CampaignError, match=f"{folder} cannot be written"), locked(folder):
            pytest.fail("a file was taken for a folder")
