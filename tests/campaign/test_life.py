"""The life of a run: one process, one plan, steps that are done once, a report at the end."""

import pytest

from atal_ray.campaign.life import run_in
from atal_ray.config import Config
from atal_ray.errors import CampaignError
from atal_ray.store.folder import Folder


def test_a_step_is_done_once(tmp_path):
    root, made = Folder(str(tmp_path)), []

    def make():
        made.append(1)
        root.write_bytes("out", b"x")

    with run_in(root, Config(), "plan.yaml", started=False) as run:
        run.step(root, "out", make)
        run.step(root, "out", make)
        assert run.finish(lambda: "the report") == "the report"
    assert made == [1]


def test_the_plan_may_change_until_work_has_begun(tmp_path):
    root = Folder(str(tmp_path))
    with run_in(root, Config(seed=1), "plan.yaml", started=lambda: root.exists("begun")):
        pass
    with run_in(root, Config(seed=2), "plan.yaml", started=lambda: root.exists("begun")):
        root.write_bytes("begun", b"")
    with (
        pytest.raises(CampaignError, match=r"seed: 2 -> 3"),
        run_in(root, Config(seed=3), "plan.yaml", started=lambda: root.exists("begun")),
    ):
        pass
    assert b"seed: 2" in root.read_bytes("plan.yaml")


def test_a_folder_in_use_is_refused_and_its_plan_not_touched(tmp_path):
    root = Folder(str(tmp_path))
    with run_in(root, Config(seed=1), "plan.yaml", started=False):
        with (
            pytest.raises(CampaignError, match="in use"),
            run_in(root, Config(seed=2), "plan.yaml", started=False),
        ):
            pass
        assert b"seed: 1" in root.read_bytes("plan.yaml")


def test_a_lost_lock_ends_the_run_before_its_next_step_and_before_the_report(tmp_path, monkeypatch):
    root = Folder(str(tmp_path))
    with run_in(root, Config(), "plan.yaml", started=False) as run:

        def lost(self):
            raise CampaignError("the lock was lost")

        monkeypatch.setattr(type(run.lock), "check", lost)
        with pytest.raises(CampaignError, match="lost"):
            run.step(root, "out", lambda: root.write_bytes("out", b""))
        with pytest.raises(CampaignError, match="lost"):
            run.finish(lambda: pytest.fail("the report was written"))
