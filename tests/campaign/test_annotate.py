"""The annotate stage: the oracle reads masks, people leave a table of answers."""

import dataclasses

import pyarrow as pa
import pytest
from campaigns import open_campaign, tiny_config

from atal_ray.campaign.annotate import annotate
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, QUERIES, START
from atal_ray.config import BudgetConfig
from atal_ray.data.images import read_mask
from atal_ray.data.manifest import build_manifest
from atal_ray.data.record import MANIFEST_SCHEMA, records
from atal_ray.errors import DataError, WaitingError
from atal_ray.labels.points import POINT_SCHEMA, QUERY_SCHEMA

ANSWERED = BudgetConfig(total=4, annotator="answers")


@pytest.fixture
def asked(synth_folder, tmp_path):
    """A campaign whose random start asks for two pixels of each image, without the last image."""
    campaign = open_campaign(tmp_path)
    manifest = build_manifest(synth_folder).table
    campaign.root.write_table(MANIFEST, manifest)
    rows = [
        {
            "image_id": row.image_id,
            "x": x,
            "y": y,
            "round": 0,
            "order": order,
            "score": 0.0,
            "superpixel": 7,
            "region": "random",
        }
        for row in records(manifest, synth_folder)[:-1]
        for order, (x, y) in enumerate([(row.width // 2, row.height // 2), (0, row.height - 1)])
    ]
    campaign.round(START).write_table(QUERIES, pa.Table.from_pylist(rows, QUERY_SCHEMA))
    return campaign, tiny_config(synth_folder), rows


def answer(campaign, rows, labels):
    columns = {name: [row[name] for row in rows] for name in ("image_id", "x", "y")}
    campaign.round(0).write_table("answers.parquet", pa.table({**columns, "label": labels}))


def test_oracle_reads_the_mask_at_the_point(asked):
    campaign, config, rows = asked
    annotate(campaign, config, 0)
    points = campaign.round(0).read_table(POINTS)
    assert points.schema.equals(POINT_SCHEMA)
    masks = {
        record.image_id: read_mask(str(record.mask)) for chunk in campaign.images(config) for record in chunk
    }
    expected = [
        {**row, "label": int(masks[row["image_id"]][row["y"], row["x"]]), "source": "seed"} for row in rows
    ]
    assert {row["label"] for row in expected} == {0, 1}
    assert points.to_pylist() == [{name: row[name] for name in POINT_SCHEMA.names} for row in expected]


def test_oracle_needs_a_mask(asked):
    campaign, config, _ = asked
    rows = campaign.root.read_table(MANIFEST).to_pylist()
    campaign.root.write_table(
        MANIFEST, pa.Table.from_pylist([{**row, "mask": None} for row in rows], MANIFEST_SCHEMA)
    )
    with pytest.raises(DataError, match="has no mask to read labels from"):
        annotate(campaign, config, 0)
    assert not campaign.round(0).exists(POINTS)


def test_people_are_waited_for_and_then_believed(asked):
    campaign, config, rows = asked
    config = dataclasses.replace(config, budget=ANSWERED)
    with pytest.raises(
        WaitingError,
        match=rf"waiting for answers: .*seed/queries\.parquet holds {len(rows)} questions.*round-00/answers",
    ):
        annotate(campaign, config, 0)
    labels = [(0, 1, 255)[index % 3] for index in range(len(rows))]
    answer(campaign, rows[::-1], labels[::-1])  # in any order
    annotate(campaign, config, 0)
    points = campaign.round(0).read_table(POINTS)
    assert points["label"].to_pylist() == labels
    assert set(points["source"].to_pylist()) == {"human"}


def test_answers_may_come_in_parts(asked):
    campaign, config, rows = asked
    config = dataclasses.replace(config, budget=ANSWERED)
    answer(campaign, rows[:3], [1] * 3)
    with pytest.raises(WaitingError, match=f"{len(rows)} questions, 3 of them answered"):
        annotate(campaign, config, 0)
    answer(campaign, rows[3:], [0] * len(rows[3:]))
    annotate(campaign, config, 0)
    points = campaign.round(0).read_table(POINTS)
    assert points["label"].to_pylist() == [1] * 3 + [0] * len(rows[3:])
    assert campaign.round(0).names() == ["answers.parquet", POINTS]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda rows, labels: (rows, [*labels[:-1], 3]), "row 13, column label: '?3'? is no label"),
        (lambda rows, labels: ([*rows, rows[0]], [*labels, 1]), "row 14, column label: another answer"),
        (lambda rows, labels: ([*rows, {**rows[0], "x": 1}], [*labels, 1]), "row 14, columns x and y"),
    ],
)
def test_bad_answers_are_named(asked, spoil, sentence):
    campaign, config, rows = asked
    answer(campaign, *spoil(rows, [0] * len(rows)))
    with pytest.raises(DataError, match=sentence):
        annotate(campaign, dataclasses.replace(config, budget=ANSWERED), 0)
    assert not campaign.round(0).exists(POINTS)
