"""Campaigns of three rounds against a form without stages: the same snapshots, points and metrics."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
import torch
from campaigns import open_campaign, tiny_config
from naive_metrics import Pair, naive_metrics
from naive_round import NaiveRound, Row, read_members

from atal_ray.campaign.campaign_folder import MANIFEST, METRICS, POINTS, QUERIES, START, CampaignFolder
from atal_ray.campaign.run import run_campaign
from atal_ray.campaign.train import train
from atal_ray.config import AttackConfig, BudgetConfig, Config, QueryConfig, ResourceConfig
from atal_ray.data.images import read_mask
from atal_ray.data.record import Record, records
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError
from atal_ray.labels.points import UNSURE
from atal_ray.labels.superpixel_cache import SuperpixelCache
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput
from atal_ray.store.folder import Folder

ROUNDS = 3
CUT_SHORT = "scene-0001"  # a test image that cannot be read from the second round on
Members = Sequence[SaliencyNetwork]


class InFloat64(SaliencyNetwork):
    """A snapshot whose answers depend on the other images of a batch in the sixteenth digit alone."""

    prediction = 0

    def __init__(self, network: SaliencyNetwork) -> None:
        super().__init__()
        self.network, self.mean, self.std = network.double(), network.mean, network.std
        self.feature_channels = network.feature_channels

    def forward(self, x: torch.Tensor) -> SaliencyOutput:
        output = self.network(x.double())
        return SaliencyOutput((output.logits[self.network.prediction],), output.features)


def plain(members: Members) -> Members:
    return members


def float64(members: Members) -> Members:
    return [InFloat64(member) for member in members]


@dataclass(frozen=True)
class Setting:
    """What differs between the campaigns, and how their snapshots compute."""

    attack: AttackConfig
    warm_start: bool
    scope: Literal["image", "dataset"]
    form: Callable[[Members], Members] = plain
    batch: int = 1
    unsure: bool = False

    def config(self, data: Path) -> Config:
        base = tiny_config(data / "train", (data / "test",))
        query = QueryConfig(
            scope=self.scope, near_boundary=0.05, ceiling=4, shard_size=4, batch_size=self.batch
        )
        return replace(
            base,
            train=replace(base.train, warm_start=self.warm_start, lr_max=0.02),
            attack=self.attack,
            query=query,
            budget=BudgetConfig(total=6, annotator="answers" if self.unsure else "oracle"),
            resources=ResourceConfig(backend="inline", gpus="none"),
        )


SETTINGS = {
    "last": Setting(AttackConfig(), False, "image"),
    "ensemble, warm": Setting(AttackConfig(model="ensemble"), True, "image"),
    "points, unsure ones": Setting(AttackConfig(labels="points"), False, "image", unsure=True),
    "ensemble, points, data set": Setting(
        AttackConfig(model="ensemble", labels="points"), False, "dataset", unsure=True
    ),
    "batches": Setting(AttackConfig(labels="points"), True, "image", float64, batch=3),
}


@dataclass(frozen=True)
class Played:
    """A finished campaign, and its form without stages."""

    setting: Setting
    config: Config
    campaign: CampaignFolder
    naive: NaiveRound

    @cached_property
    def images(self) -> list[Record]:
        return records(self.naive.manifest, self.naive.folder)

    def points(self, number: int) -> pa.Table:
        """The points of all rounds up to this one."""
        folders = (self.campaign.round(before) for before in range(number + 1))
        return pa.concat_tables(folder.read_table(POINTS) for folder in folders)

    def files(self, number: int) -> list[Path]:
        folder = Path(self.campaign.root.uri) / f"round-{number:02d}" / "snapshots"
        return [folder / f"{snapshot}.pt" for snapshot in (1, 2)]

    def members(self, number: int) -> Members:
        return read_members(self.files(number), self.config, self.setting.form)


def answer(campaign: CampaignFolder, number: int, labels: dict[str, np.ndarray]) -> None:
    """Answer the questions of the round before by the masks, about every third one by "unsure"."""
    asked = campaign.round(number - 1).read_table(QUERIES).to_pylist()
    rows = [
        {name: row[name] for name in ("image_id", "x", "y")}
        | {"label": UNSURE if is_unsure(row) else int(labels[row["image_id"]][row["y"], row["x"]])}
        for row in asked
    ]
    campaign.round(number).write_table("answers.parquet", pa.Table.from_pylist(rows))


def is_unsure(row: Row) -> bool:
    return bool((row["x"] + row["y"]) % 3 == 0)


@pytest.fixture(scope="module", params=SETTINGS)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    setting, data = SETTINGS[request.param], tmp_path_factory.mktemp("naive")
    for name, count in (("train", 6), ("test", 3)):
        write_dataset(data / name, count=count, size=(48, 72), seed=count)
    labels = {mask.stem: read_mask(mask) for mask in (data / "train" / "masks").iterdir()}
    config, campaign = setting.config(data), open_campaign(data / "run")
    file = data / "test" / "images" / f"{CUT_SHORT}.jpg"
    whole = file.read_bytes()

    def train_then_cut_short(campaign: CampaignFolder, config: Config, number: int) -> None:
        train(campaign, config, number)
        file.write_bytes(whole[:99] if number else whole)

    def stand_in(
        members: Members, sides: list[set[int]], batch: int, precision: str, *_: Any, **__: Any
    ) -> Members:
        """Instead of a prepared graph, which rounds otherwise, the snapshots as they are."""
        assert (sides, batch, precision) == ([{64}, {64}], setting.batch, "float32")
        return setting.form(members)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("atal_ray.campaign.snapshot_actor.prepare_snapshots", stand_in)
        patch.setattr("atal_ray.campaign.snapshot_actor._PREPARED", {})
        patch.setattr("atal_ray.campaign.rounds.train", train_then_cut_short)
        patch.setattr("atal_ray.campaign.run.write_report", lambda *_: None)  # nothing here reads it
        for number in range(ROUNDS if setting.unsure else 0):
            with pytest.raises(CampaignError, match="waiting for answers"):
                run_campaign(config, data / "run")
            file.write_bytes(whole)  # a campaign goes on with the files that it began with
            answer(campaign, number, labels)
        run_campaign(config, data / "run")
    file.write_bytes(whole)
    cache = SuperpixelCache(Folder(str(data / "superpixels")), config.regions)
    naive = NaiveRound(config, campaign.root.read_table(MANIFEST), Path(config.data.train), cache)
    return Played(setting, config, campaign, naive)


def test_the_random_points_are_the_same(played: Played) -> None:
    assert played.campaign.round(START).read_table(QUERIES).to_pylist() == played.naive.first_points()


def test_the_answers_are_those_of_the_masks_and_of_people(played: Played) -> None:
    labels = {image.image_id: read_mask(str(image.mask)) for image in played.images}
    for number in range(ROUNDS):
        expected = []
        for row in played.campaign.round(number - 1).read_table(QUERIES).to_pylist():
            label = int(labels[row["image_id"]][row["y"], row["x"]])
            label = UNSURE if played.setting.unsure and is_unsure(row) else label
            source = "human" if played.setting.unsure else "oracle" if number else "seed"
            expected.append({**row, "label": label, "source": source})
            del expected[-1]["region"]
        assert played.campaign.round(number).read_table(POINTS).to_pylist() == expected


def test_training_again_gives_the_same_snapshots(played: Played) -> None:
    before = None
    for number in range(ROUNDS):
        states = played.naive.train(played.points(number), number, before)
        for file, state in zip(played.files(number), states, strict=True):
            kept = torch.load(file, weights_only=True)
            assert kept.keys() == state.keys()
            for key, values in state.items():
                assert torch.equal(kept[key], values), (number, file.name, key)
        before = states[-1]


def test_the_questions_are_the_same(played: Played) -> None:
    for number in range(ROUNDS - 1):
        expected = played.naive.query(played.members(number), played.points(number), number)
        found = played.campaign.round(number).read_table(QUERIES).to_pylist()
        if played.setting.batch == 1:
            assert found == expected
        else:  # scores are float32, whose last bit a batch may turn
            scores, others = ([row.pop("score") for row in rows] for rows in (found, expected))
            assert found == expected
            assert scores == pytest.approx(others, rel=1e-5)


def test_metrics_are_those_of_the_definitions(played: Played) -> None:
    (name,) = played.campaign.test_sets()
    table = (played.campaign.root / "tests").read_table(f"{name}.parquet")
    images = records(table, played.campaign.test_data(played.config, name))
    for number in range(ROUNDS):
        found = played.campaign.round(number).read_json(METRICS)[name]
        readable = [image for image in images if number == 0 or image.image_id != CUT_SHORT]
        assert [image_id for image_id, _ in found["errors"]] == [CUT_SHORT] * (number > 0)
        pairs: dict[str, list[Pair]] = {"ensemble": [], "last": []}
        for image in readable:
            mask = read_mask(str(image.mask)).astype(bool)
            maps = played.naive.saliency(played.members(number), image.image, mask.shape)
            for who, saliency in maps.items():
                pairs[who].append(Pair(saliency, mask))
        for who, some in pairs.items():
            expected = naive_metrics(some)
            assert found[who].keys() == expected.keys()
            for metric, value in expected.items():
                assert found[who][metric] == pytest.approx(value, rel=1e-12, abs=1e-12), (number, who, metric)
