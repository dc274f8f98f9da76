"""What Ray says of a healthy run does not alarm; what goes wrong is seen, whatever ends the process."""

import os
import pty
import subprocess
import sys
import textwrap

import pytest

ALARMING = (
    "[2026-01-01 00:00:00,000 E 1 1] core_worker.cc:2240: Actor x: the actor restart will fail. See http\n"
)
BROKEN = "[2026-01-01 00:00:00,000 E 1 1] core_worker.cc:99: a node is dead\n"


def script(body: str, level: str = "INFO") -> list[str]:
    start = (
        "import logging, os, sys\n"
        "from atal_ray.runtime.harmless_lines import harmless_lines_hidden\n"
        f"logging.basicConfig(format='%(message)s'); logging.getLogger('atal_ray').setLevel('{level}')\n"
        f"alarming, broken = {ALARMING.encode()!r}, {BROKEN.encode()!r}\n"
        "auth = logging.getLogger('ray._private.authentication.authentication_token_setup')\n"
    )
    return [sys.executable, "-c", start + textwrap.dedent(body)]


def said(body: str, level: str = "INFO", status: int = 0) -> list[str]:
    ended = subprocess.run(script(body, level), capture_output=True, text=True)
    assert ended.returncode == status, ended.stderr
    return ended.stderr.splitlines()


EVERYTHING = """
    with harmless_lines_hidden():
        os.write(2, alarming)
        os.write(2, broken)
        auth.warning("Token authentication is enabled for this Ray cluster. Set RAY_AUTH_MODE=disabled")
        auth.error("the token is wrong")
        print("progress", file=sys.stderr)
    os.write(2, b"after\\n")
    print("end", file=sys.stderr)
"""


def test_only_the_harmless_lines_are_missing() -> None:
    lines = said(EVERYTHING)
    assert sorted(lines) == sorted([BROKEN.strip(), "the token is wrong", "progress", "after", "end"])
    assert lines[-2:] == ["after", "end"]


def test_debug_shows_all() -> None:
    lines = said(EVERYTHING, "DEBUG")
    assert ALARMING.strip() in lines
    assert any(line.startswith("Token authentication is enabled") for line in lines)


@pytest.mark.parametrize(("end", "status"), [("os.abort()", -6), ("os._exit(3)", 3)])
def test_the_last_words_of_a_process_that_dies_arrive(end: str, status: int) -> None:
    lines = said(f"with harmless_lines_hidden():\n    os.write(2, broken)\n    {end}", status=status)
    assert lines == [BROKEN.strip()]


def test_an_exception_in_the_block_is_shown_in_full() -> None:
    lines = said("with harmless_lines_hidden():\n    raise ValueError('torn')", status=1)
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "ValueError: torn"


def test_bars_still_know_that_they_are_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    body = """
        with harmless_lines_hidden():
            print(sys.stderr.isatty(), end=" ", flush=True)
        print(sys.stderr.isatty())
    """
    ended = subprocess.run(script(body), stdout=subprocess.PIPE, stderr=theirs, text=True, check=True)
    os.close(theirs)
    os.close(ours)
    assert ended.stdout.split() == ["True", "True"]
