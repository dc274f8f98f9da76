import pytest
from campaigns import open_campaign

from atal_ray.errors import CampaignError
from atal_ray.runtime import progress
from atal_ray.runtime.progress import PROGRESS, Progress, watch
from atal_ray.store.folder import Folder


def test_it_is_told_no_more_often_than_it_is_looked_at(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    folder = open_campaign(tmp_path).root
    told = Progress(folder)
    for now, done, seen in ((100, 1, 1), (100.5, 2, 1), (101.5, 3.9, 3), (101.6, 5, 3)):
        clock[0] = now
        told.leave(done)
        assert folder.read_json(PROGRESS) == {"done": seen}


def test_a_folder_that_cannot_be_written_does_not_end_the_work(tmp_path, monkeypatch):
    def failing(*_):
        raise CampaignError("no room")

    monkeypatch.setattr(Folder, "write_json", failing)
    Progress(open_campaign(tmp_path).root).leave(1)


def test_the_bar_is_full_at_the_end_and_stands_where_the_work_fails(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    folder = open_campaign(tmp_path).root
    with watch(folder, 40, "short", "step"):
        Progress(folder).leave(7)
    assert "40/40" in capfd.readouterr().err
    with pytest.raises(ValueError, match="broken"), watch(folder, 40, "short", "step"):
        raise ValueError("broken")
    assert "40/40" not in capfd.readouterr().err
