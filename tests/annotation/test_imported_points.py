"""Points from elsewhere: what is taken, what is left out aloud, what is refused."""

import dataclasses
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from campaigns import open_campaign, tiny_config

from atal_ray.annotation.imported_points import import_points
from atal_ray.campaign.annotate import annotate
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, TRAINING
from atal_ray.config import DataConfig
from atal_ray.data.manifest import build_manifest
from atal_ray.data.record import records
from atal_ray.errors import DataError
from atal_ray.labels.points import POINT_SCHEMA


@pytest.fixture
def campaign(synth_folder, tmp_path):
    campaign = open_campaign(tmp_path / "run")
    campaign.root.write_table(MANIFEST, build_manifest(synth_folder).table)
    return campaign


@pytest.fixture
def rows(campaign):
    """Two plain points of each image, the last image first."""
    images = records(campaign.root.read_table(MANIFEST), "/")
    return [
        {"image_id": row.image_id, "x": x, "y": 1, "label": x % 2} for row in reversed(images) for x in (5, 2)
    ]


def write(tmp_path, rows, **types):
    table = pa.Table.from_pylist(rows)
    for name, kind in types.items():
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(kind))
    pq.write_table(table, tmp_path / "mine.parquet")
    return str(tmp_path / "mine.parquet")


def test_plain_table_becomes_imported_points(campaign, rows, tmp_path, caplog):
    import_points(campaign, write(tmp_path, rows))
    points = campaign.round(0).read_table(POINTS)
    assert points.schema.equals(POINT_SCHEMA)
    taken = points.to_pylist()
    assert [row["image_id"] for row in taken] == sorted(row["image_id"] for row in rows)
    assert [(row["x"], row["order"]) for row in taken] == [
        (5, 0),
        (2, 1),
    ] * 8  # the rows of an image keep their order
    assert {(row["round"], row["score"], row["superpixel"], row["source"]) for row in taken} == {
        (0, 0.0, -1, "import")
    }
    assert all(row["label"] == row["x"] % 2 for row in taken)
    assert caplog.messages == []


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_tables_of_people_are_taken_with_words_as_labels(campaign, rows, tmp_path, form):
    worded = [{**row, "label": ["background", "Foreground"][row["label"]]} for row in rows]
    path = tmp_path / f"mine.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(worded), path)
    elif form == "json":
        path.write_text(json.dumps(worded))
    else:
        lines = [",".join(worded[0]), *(",".join(map(str, row.values())) for row in worded)]
        path.write_text("\n".join(lines))
    import_points(campaign, str(path))
    assert all(row["label"] == row["x"] % 2 for row in campaign.round(0).read_table(POINTS).to_pylist())


def test_a_csv_table_is_refused_by_line(campaign, rows, tmp_path):
    image = rows[0]["image_id"]
    for line, sentence in (
        (f"{image},5,1,", "row 3: label is empty"),
        (f"{image},9999,1,0", "row 3 .*outside"),
    ):
        (tmp_path / "mine.csv").write_text(f"image_id,x,y,label\n{image},2,1,0\n{line}\n")
        with pytest.raises(DataError, match=sentence):
            import_points(campaign, str(tmp_path / "mine.csv"))


def test_a_column_twice_is_refused(campaign, rows, tmp_path):
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.append_column("x", table["x"]), tmp_path / "twice.parquet")
    with pytest.raises(DataError, match="has the column x more than once"):
        import_points(campaign, str(tmp_path / "twice.parquet"))


def test_points_of_a_campaign_are_all_those_of_its_committed_rounds(campaign, rows, tmp_path):
    other = open_campaign(tmp_path / "other")
    full = [
        {**row, "round": 0, "order": 3, "score": 0.5, "superpixel": 9, "source": "oracle"} for row in rows
    ]
    for number, part in enumerate((full[::2], [{**row, "round": 1} for row in full[1::2]])):
        other.round(number).write_table(POINTS, pa.Table.from_pylist(part, POINT_SCHEMA))
        other.round(number).write_json(TRAINING, {})
    other.commit(0)
    import_points(campaign, other.root.uri)
    assert campaign.round(0).count_rows(POINTS) == 8
    other.commit(1)
    import_points(campaign, other.root.uri)
    taken = campaign.round(0).read_table(POINTS).to_pylist()
    assert sorted(taken, key=str) == sorted([{**row, "round": int(row["x"] == 2)} for row in full], key=str)


def test_points_of_other_images_are_left_out_aloud(campaign, rows, tmp_path, caplog):
    source = write(tmp_path, [*rows[:-2], {**rows[0], "image_id": "stranger"}])
    import_points(campaign, source)
    assert campaign.round(0).count_rows(POINTS) == 14
    said = f"{source}: 1 of 15 points belong to other images and are left out; 1 of 8 images have no point"
    assert caplog.messages == [said]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"x": 10_000}, r"row 1 \(image .* outside the image"),
        ({"x": 5}, "row 1 .* labelled twice"),
        ({"label": 7}, "row 1 .* label is 7"),
        ({"y": None}, "row 1: y is empty"),
        ({"label": 300}, "column label cannot be read as uint8"),
    ],
)
def test_wrong_points_are_refused(campaign, rows, tmp_path, change, sentence):
    rows[1] |= change
    with pytest.raises(DataError, match=rf"mine\.parquet.*{sentence}"):
        import_points(campaign, write(tmp_path, rows))
    assert not campaign.round(0).exists(POINTS)


def test_tables_that_cannot_serve_are_refused(campaign, rows, tmp_path):
    with pytest.raises(DataError, match="has no column label: points need image_id, x, y, label"):
        import_points(
            campaign, write(tmp_path, [{key: row[key] for key in ("image_id", "x", "y")} for row in rows])
        )
    with pytest.raises(DataError, match="none of its 1 points belongs to an image of this campaign"):
        import_points(campaign, write(tmp_path, [{**rows[0], "image_id": "stranger"}]))
    (tmp_path / "text.parquet").write_text("no table")
    for name in ("absent", "text.parquet"):
        with pytest.raises(
            DataError, match="neither a campaign with a committed round nor a table of points"
        ):
            import_points(campaign, str(tmp_path / name))
    with pytest.raises(DataError, match="column x cannot be read as int32"):
        import_points(campaign, write(tmp_path, [{**row, "x": "left"} for row in rows]))


def test_annotate_takes_them_in_place_of_answers(campaign, rows, synth_folder, tmp_path):
    config = tiny_config(synth_folder, data=DataConfig(train=str(synth_folder), points=write(tmp_path, rows)))
    assert not config.asks
    assert config.rounds == 1
    annotate(campaign, config, 0)
    assert campaign.round(0).count_rows(POINTS) == 16
    assert dataclasses.replace(config, data=DataConfig()).rounds == 2
