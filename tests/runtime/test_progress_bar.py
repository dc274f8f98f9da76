"""A log gets a line now and then, never a line that is drawn over."""

import pytest

from atal_ray.runtime import progress_bar as module
from atal_ray.runtime.progress_bar import progress_bar


def test_a_log_gets_whole_lines_and_few_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(1000, "round 0: query", "image", done=100) as bar:
        for _ in range(900):
            bar.update(1)
    lines = capsys.readouterr().err.splitlines(keepends=True)
    assert len(lines) == 2
    assert lines[0].startswith("round 0: query:  10%|")
    assert "1000/1000" in lines[1]
    assert all(line.endswith("\n") and "\r" not in line for line in lines)


def test_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_SECONDS", 0.0)
    with progress_bar(3, "annotating", "image") as bar:
        bar.update(1)
        bar.update(1)
        bar.update(1)
    assert [line.split("|")[2].split()[0] for line in capsys.readouterr().err.splitlines()[:4]] == [
        "0/3",
        "1/3",
        "2/3",
        "3/3",
    ]


def test_none_where_none_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(3, "checking images", "image", shown=False) as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""


def test_a_terminal_keeps_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress_bar(3, "annotating", "image") as bar:
        bar.update(3)
    written = capsys.readouterr().err
    assert "\r" in written
    assert written.count("\n") == 1
