"""An answer that was taken is on the disk; a line that was cut short is asked again."""

import errno
from pathlib import Path

import pytest

from atal_ray.annotation.page.answer_log import AnswerLog, LogEntry, latest
from atal_ray.errors import CampaignError, DataError

ENTRIES = [
    LogEntry("ann", 3, 1, 900, 1.5),
    LogEntry("bob", 3, 0, 700, 2.5),
    LogEntry("ann", 4, 255, 500, 3.5),
    LogEntry("ann", 4, None, 0, 4.5),
    LogEntry("ann", 3, 0, 100, 5.5),
]


def written(path: Path) -> Path:
    with AnswerLog(path, "digest") as log:
        for entry in ENTRIES:
            log.add(entry)
    return path


def test_entries_come_back_in_their_order(tmp_path: Path) -> None:
    with AnswerLog(written(tmp_path / "answers.log"), "digest") as log:
        assert log.entries == ENTRIES
        log.add(LogEntry("bob", 5, 1, 10, 6.5))
    with AnswerLog(tmp_path / "answers.log", "digest") as log:
        assert log.entries == [*ENTRIES, LogEntry("bob", 5, 1, 10, 6.5)]


def test_each_entry_is_on_the_disk_before_add_returns(tmp_path: Path) -> None:
    with AnswerLog(tmp_path / "answers.log", "digest") as log:
        for number, entry in enumerate(ENTRIES, 2):
            log.add(entry)
            assert len((tmp_path / "answers.log").read_bytes().splitlines()) == number


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_line_that_was_cut_short_is_removed(cut: int, tmp_path: Path) -> None:
    path = written(tmp_path / "answers.log")
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with AnswerLog(path, "digest") as log:
        assert log.entries == ENTRIES[:-1]
        log.add(ENTRIES[-1])
    assert path.read_bytes() == whole


def test_a_log_of_other_questions_or_with_damage_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.log")
    with pytest.raises(DataError, match="holds answers to other questions: move it away"):
        AnswerLog(path, "another")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[3:]]))
    with pytest.raises(DataError, match=r"answers\.log, line 3 is damaged"):
        AnswerLog(path, "digest")


def test_the_latest_of_each_person_counts() -> None:
    found = latest(ENTRIES)
    assert found == {3: {"bob": ENTRIES[1], "ann": ENTRIES[4]}}
    assert [*found[3]] == ["bob", "ann"], "the latest stands last"


def test_an_entry_that_does_not_fit_on_the_disk_is_not_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = written(tmp_path / "answers.log")
    whole = path.read_bytes()
    with AnswerLog(path, "digest") as log:
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(CampaignError, match=r"answers\.log cannot be written: No space left"):
                log.add(LogEntry("bob", 5, 1, 10, 6.5))
        assert path.read_bytes() == whole
        assert log.entries == ENTRIES
        log.add(LogEntry("bob", 6, 1, 10, 7.5))
    with AnswerLog(path, "digest") as log:
        assert log.entries == [*ENTRIES, LogEntry("bob", 6, 1, 10, 7.5)]
