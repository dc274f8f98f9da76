"""Tables of people and points from elsewhere are judged before Ray is started, and before images are read."""

import dataclasses

import pytest
from campaigns import open_campaign, tiny_config

from atal_ray.annotation.given_answers import ANSWERED, OPEN
from atal_ray.campaign import run as module
from atal_ray.campaign.campaign_folder import POINTS
from atal_ray.campaign.run import run_campaign
from atal_ray.config import BudgetConfig, DataConfig
from atal_ray.errors import DataError, WaitingError


def forbidden(*_):
    raise AssertionError("the table had to be judged before")


@pytest.fixture
def waiting(synth_folder, tmp_path):
    """A campaign that waits for its first answers, and its configuration; Ray may not be started again."""
    config = tiny_config(synth_folder, budget=BudgetConfig(total=4, annotator="answers"))
    config = dataclasses.replace(config, data=DataConfig(train=str(synth_folder), limit=2))
    with pytest.raises(WaitingError, match="4 questions, 0 of them answered"):
        run_campaign(config, tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "campaign_session", forbidden)
        yield open_campaign(tmp_path / "run"), config


def test_a_table_of_answers_is_refused_or_kept_before_ray(waiting):
    campaign, config = waiting
    out = campaign.round(0)
    form = out.read_bytes(OPEN).decode()
    out.write_bytes("answers.csv", form.replace(",\n", ",dog\n").encode())
    with pytest.raises(
        DataError, match=r"answers\.csv: 4 values cannot be used(?s:.*)line 2, column label: 'dog'"
    ):
        run_campaign(config, campaign.root.uri)
    out.write_bytes("answers.csv", form.replace(",\n", ",unsure\n", 3).encode())
    with pytest.raises(WaitingError, match="4 questions, 3 of them answered"):
        run_campaign(config, campaign.root.uri)
    out.write_bytes("answers.csv", out.read_bytes(OPEN).replace(b",\n", b",1\n"))
    with pytest.raises(AssertionError, match="judged before"):  # now there is work for Ray
        run_campaign(config, campaign.root.uri)
    assert out.read_table(POINTS)["label"].to_pylist() == [255, 255, 255, 1]
    assert not out.exists(ANSWERED)
    assert not out.exists(OPEN)


@pytest.mark.parametrize("content", ["no table", "image_id,x,y\na,1,1\n"])
def test_points_from_elsewhere_are_refused_before_any_image_is_read(
    content, synth_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "prepare", forbidden)
    (tmp_path / "points.csv").write_text(content)
    data = DataConfig(train=str(synth_folder), points=str(tmp_path / "points.csv"))
    with pytest.raises(DataError, match=r"points\.csv has no column"):
        run_campaign(tiny_config(synth_folder, data=data), tmp_path / "run")
