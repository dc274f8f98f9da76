"""The scores of each test image are what the metrics are means of, also where they are wanted late."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plain_campaigns import plain_snapshots, toy_config

from atal_ray.campaign.campaign_folder import IMAGE_SCORES, METRICS, CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.campaign.scores_of_images import KEPT, SCORE_COLUMNS, scores_of, scores_table
from atal_ray.config import ReportConfig
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.metrics.fmeasure import max_f


def test_a_table_gives_back_what_it_was_made_of() -> None:
    values = np.random.default_rng(0).random((3, SCORE_COLUMNS)).astype(np.float32)
    ids, found = scores_of(scores_table("set", ["a", "b", "c"], values), "set")
    assert ids == ["a", "b", "c"]
    assert np.array_equal(np.concatenate([found[name] for name in KEPT], axis=1), values)
    assert scores_of(scores_table("set", [], values[:0]), "set")[0] == []


@pytest.mark.parametrize("late", [False, True])
def test_their_means_are_the_metrics(late: bool, tmp_path: Path) -> None:
    for name, seed in (("train", 0), ("a", 1), ("b", 2)):
        write_dataset(tmp_path / name, count=5, size=(40, 64), seed=seed)
    config = toy_config(tmp_path / "train", (tmp_path / "a", tmp_path / "b"))
    wanted = replace(config, report=ReportConfig(image_scores=True))
    with plain_snapshots():
        campaign: CampaignFolder = run_campaign(config if late else wanted, tmp_path / "run")
        assert campaign.round(1).exists(IMAGE_SCORES) == (not late)
        if late:
            run_campaign(wanted, tmp_path / "run")
    for number in range(2):
        table = campaign.round(number).read_table(IMAGE_SCORES)
        metrics = campaign.round(number).read_json(METRICS)
        for name in ("a", "b"):
            ids, scores = scores_of(table, name)
            assert len(ids) == 5
            assert ids == sorted(ids)
            known = metrics[name]["ensemble"]
            found = max_f(scores["precision"].mean(0), scores["recall"].mean(0))
            assert found == pytest.approx(known["max_f"], abs=1e-6)
            assert scores["mae"].mean() == pytest.approx(known["mae"], abs=1e-6)
            assert scores["s_measure"].mean() == pytest.approx(known["s_measure"], abs=1e-6)
