"""Points of a campaign in other formats, and back: a campaign trains on them as on its own."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import ExifTags, Image
from plain_campaigns import plain_snapshots, toy_config

from atal_ray.annotation.formats import ALL
from atal_ray.annotation.read_points import read_points
from atal_ray.campaign.campaign_folder import POINTS, QUERIES, CampaignFolder
from atal_ray.campaign.export_points import ExportPoints, export_points
from atal_ray.campaign.generate import Generation, generate
from atal_ray.campaign.run import run_campaign
from atal_ray.config import BudgetConfig, Config
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError, ConfigError, DataError, WaitingError
from atal_ray.labels.points import POINT_SCHEMA, in_order
from atal_ray.store.folder import Folder

IMAGES = 5


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, CampaignFolder]:
    folder = tmp_path_factory.mktemp("export")
    write_dataset(folder / "train", count=IMAGES, size=(40, 64))
    config = toy_config(folder / "train", ())
    with plain_snapshots():
        return config, run_campaign(config, folder / "run")


def test_all_points_in_every_format_with_a_card(
    campaign: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    config, run = campaign
    formats = tuple(name for name, kind in ALL.items() if kind.writes)
    plan = ExportPoints(campaign=run.root.uri, formats=formats, license="cc-by-4.0")
    out = export_points(plan, tmp_path / "out")
    assert set(out.names()) >= {*formats, "README.md", "export.yaml"}
    table = pq.read_table(tmp_path / "out/parquet/points.parquet")
    rows = run.points(1).sort_by([(name, "ascending") for name in ("image_id", "round", "order")])
    assert table.select(POINT_SCHEMA.names).equals(rows)
    card = out.read_bytes("README.md").decode()
    assert f"{rows.num_rows} points, 4 an image" in card
    assert f"| chosen by | {config.query.method}, from uniform points of round 0 |" in card
    assert "license: cc-by-4.0" in card
    assert "| points by round | 0: 10, 1: 10 |" in card
    assert all(f"| `{name}/` | {ALL[name].keeps} |" in card for name in formats)
    first = export_points(replace(plan, rounds=1), tmp_path / "first")
    assert first.count_rows("parquet/points.parquet") == 2 * IMAGES


def test_a_campaign_trains_on_points_that_another_tool_gives_back(
    campaign: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    config, run = campaign
    plan = ExportPoints(campaign=run.root.uri, formats=("labelme", "cvat"))
    out = export_points(plan, tmp_path / "out")
    for name, source in (("labelme", "labelme"), ("cvat", "cvat/annotations.xml")):
        table = str(tmp_path / f"{name}.parquet")
        assert read_points(name, Path(out.uri, source), table) == (4 * IMAGES, 0)
        own = replace(config, data=replace(config.data, points=table))
        with plain_snapshots():
            other = run_campaign(own, tmp_path / name)
        pixels = ["image_id", "x", "y", "label"]
        keys = [(key, "ascending") for key in pixels]
        mine = run.points(1).select(pixels).sort_by(keys)
        assert other.round(0).read_table(POINTS).select(pixels).sort_by(keys).equals(mine)


def test_questions_are_answered_in_label_studio(
    campaign: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    """The questions go out as tasks; what comes back, as a table beside them, is what the oracle says."""
    config, run = campaign
    people = replace(config, budget=BudgetConfig(start=2, per_round=2, total=4, annotator="answers"))
    with pytest.raises(WaitingError):
        run_campaign(people, tmp_path / "run")
    mine = CampaignFolder(Folder(str(tmp_path / "run")))
    asked = mine.round(-1).read_table(QUERIES)
    plan = ExportPoints(campaign=mine.root.uri, what="questions", formats=("label-studio",))
    out = export_points(plan, tmp_path / "out")
    tasks = json.loads(out.read_bytes("label-studio/tasks-00000.json"))
    answers = {
        (row["image_id"], row["x"], row["y"]): row["label"]
        for row in run.round(0).read_table(POINTS).to_pylist()
    }
    for task in tasks:
        (asked_of,) = task.pop("predictions")
        task["annotations"] = [{"result": asked_of["result"]}]
        for item in asked_of["result"]:
            value = item["value"]
            assert value["keypointlabels"] == ["question"], "nobody has said anything yet"
            x = int(value["x"] * item["original_width"] / 100)
            y = int(value["y"] * item["original_height"] / 100)
            label = answers[task["data"]["image_id"], x, y]
            value["keypointlabels"] = ["foreground" if label else "background"]
    (tmp_path / "answers.json").write_text(json.dumps(tasks))
    table = Path(mine.round(0).where("answers.parquet"))
    untouched = json.loads(json.dumps(tasks))
    untouched[0]["annotations"][0]["result"][0]["value"]["keypointlabels"] = ["question"]
    (tmp_path / "some.json").write_text(json.dumps(untouched))
    some = read_points("label-studio", tmp_path / "some.json", str(tmp_path / "some.parquet"))
    assert some == (asked.num_rows - 1, 1), "what nobody touched is still open"
    found = read_points("label-studio", tmp_path / "answers.json", str(table))
    assert found == (asked.num_rows, 0)
    with pytest.raises(WaitingError), plain_snapshots():
        run_campaign(people, mine.root.uri)
    pixels = ["image_id", "x", "y", "label"]
    assert mine.round(0).read_table(POINTS).select(pixels) == run.round(0).read_table(POINTS).select(pixels)
    with pytest.raises(CampaignError, match="has no open questions"):
        export_points(ExportPoints(campaign=run.root.uri, what="questions"), tmp_path / "none")


def test_questions_that_have_an_answer_are_not_exported(
    campaign: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    people = replace(campaign[0], budget=BudgetConfig(start=2, per_round=2, total=4, annotator="answers"))
    with pytest.raises(WaitingError):
        run_campaign(people, tmp_path / "run")
    mine = CampaignFolder(Folder(str(tmp_path / "run")))
    form = Path(mine.round(0).where("questions.csv"))
    head, *rows = form.read_text().splitlines()
    form.write_text("\n".join([head, *(f"{row}1" for row in rows[:3]), *rows[3:]]))
    plan = ExportPoints(campaign=mine.root.uri, what="questions")
    left = export_points(plan, tmp_path / "out").read_table("parquet/points.parquet")
    pixels = [f"{row['image_id']},{row['x']},{row['y']}," for row in left.to_pylist()]
    assert sorted(pixels) == sorted(rows[3:])
    form.write_text("\n".join([head, *(f"{row}1" for row in rows)]))
    with pytest.raises(CampaignError, match=r"every question of .* has an answer: it goes on with"):
        export_points(plan, tmp_path / "all")


def test_points_of_turned_images_are_warned_of_and_questions_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_dataset(tmp_path / "train", count=3, size=(40, 64))
    image = sorted((tmp_path / "train/images").iterdir())[1]
    with Image.open(image) as file:
        exif = file.getexif()
        exif[ExifTags.Base.Orientation] = 6
        file.save(image, exif=exif)
    config = toy_config(tmp_path / "train", ())
    people = replace(config, budget=BudgetConfig(start=2, per_round=2, total=4, annotator="answers"))
    with pytest.raises(WaitingError):
        run_campaign(people, tmp_path / "people")
    plan = ExportPoints(campaign=str(tmp_path / "people"), what="questions", formats=("cvat",))
    with pytest.raises(DataError, match=f"readers of cvat turn 1 image .* such as {image.stem},.*answer on"):
        export_points(plan, tmp_path / "questions")
    export_points(replace(plan, formats=("webdataset",)), tmp_path / "questions")
    with plain_snapshots():
        run_campaign(config, tmp_path / "run")
    points = ExportPoints(campaign=str(tmp_path / "run"), formats=("parquet", "coco"))
    export_points(points, tmp_path / "out")
    assert f"readers of coco turn 1 image as the EXIF says, such as {image.stem}" in caplog.text


def test_generated_points_are_exported_too(campaign: tuple[Config, CampaignFolder], tmp_path: Path) -> None:
    config, run = campaign
    plan = replace(Generation.like(run.root.uri), images=config.data.train, points=3)
    with plain_snapshots():
        made = generate(plan, tmp_path / "made")
    out = export_points(ExportPoints(campaign=made.root.uri), tmp_path / "out")
    table = out.read_table("parquet/points.parquet")
    assert table.num_rows == 3 * IMAGES
    assert table.select(POINT_SCHEMA.names).equals(in_order(made.round(1).read_table(POINTS)))


def test_what_cannot_be_exported_is_said_first(
    campaign: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    run = campaign[1]
    with pytest.raises(ConfigError, match="formats holds pixelpick, which is read and not written"):
        ExportPoints(formats=("pixelpick",))
    with pytest.raises(ConfigError, match="rounds chooses points"):
        ExportPoints(what="questions", rounds=1)
    with pytest.raises(
        ConfigError, match="formats holds sam, which has no place for a point without a label"
    ):
        ExportPoints(what="questions", formats=("cvat", "sam"))
    plan = ExportPoints(campaign=run.root.uri)
    with pytest.raises(ConfigError, match=r"rounds is 3, but .* has points of 2"):
        export_points(replace(plan, rounds=3), tmp_path / "out")
    with pytest.raises(CampaignError):
        export_points(replace(plan, campaign=str(tmp_path / "nothing")), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds files that were not made by `atal export points`"):
        export_points(plan, tmp_path / "mine")


def test_an_export_that_was_cut_short_is_made_whole_by_the_same_command(
    campaign: tuple[Config, CampaignFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = ExportPoints(campaign=campaign[1].root.uri, formats=("parquet", "sam"))
    with monkeypatch.context() as patch:
        patch.setattr(ALL["sam"], "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            export_points(plan, tmp_path / "out")
    assert not (tmp_path / "out" / "README.md").exists()
    out = export_points(plan, tmp_path / "out")
    assert len((out / "sam").names()) == IMAGES
    before = out.read_bytes("parquet/points.parquet")
    assert export_points(plan, tmp_path / "out").read_bytes("parquet/points.parquet") == before


def test_a_pixel_with_two_answers_is_named(tmp_path: Path) -> None:
    shapes = [{"shape_type": "point", "label": word, "points": [[3, 4]]} for word in ("foreground",) * 2]
    document = {"imagePath": "a.jpg", "shapes": shapes}
    (tmp_path / "a.json").write_text(json.dumps(document))
    table = str(tmp_path / "out" / "points.parquet")
    assert read_points("labelme", tmp_path, table) == (1, 0), "twice alike counts once"
    shapes[1]["label"] = "background"
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"shape 1: image a, \(3, 4\) is background, but foreground at .* 0:"):
        read_points("labelme", tmp_path, table)
    assert pq.read_table(table).num_rows == 1, "what was there stays"
    for arguments, sentence in (
        (("labelm", tmp_path, table), "'labelm' is no format that is read: use .*labelme"),
        (("labelme", tmp_path, "points.csv"), "let it end in .parquet"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            read_points(*arguments)
    with pytest.raises(DataError, match="does not exist"):
        read_points("labelme", tmp_path / "nothing", table)
