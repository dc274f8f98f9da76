"""A finished campaign is masks that clicks overrule, a network that is trained on them, and their figures."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from campaigns import open_campaign
from plain_campaigns import plain_snapshots, toy_config

from atal_ray import networks
from atal_ray.campaign.campaign_folder import COST, ERRORS, METRICS, POINTS, CampaignFolder
from atal_ray.campaign.finish import finish as finish_module
from atal_ray.campaign.finish.delivered_network import DeliveredNetwork
from atal_ray.campaign.finish.finish import finish
from atal_ray.campaign.finish.finish_plan import ClickTeacher, Finish
from atal_ray.campaign.finish.shares import SHARES
from atal_ray.campaign.finish.teacher import TeacherShard, TeacherTask
from atal_ray.campaign.run import run_campaign
from atal_ray.cli import main
from atal_ray.commands.plans import plan_of
from atal_ray.config import Config, TrainConfig, config_file, presets
from atal_ray.data.check import check_folder
from atal_ray.data.images import read_image, read_mask, resize
from atal_ray.data.record import Record, records
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError, ConfigError, DataError
from atal_ray.inference.saliency import saliency_maps
from atal_ray.labels.points import UNSURE, PointIndex
from atal_ray.labels.regions import region_labels
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.snapshot_reader import read_snapshots
from atal_ray.report.delivered_figures import sentences
from atal_ray.store.folder import Folder

IMAGES = 5
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def plain() -> Iterator[None]:
    with plain_snapshots():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finish")
    write_dataset(folder / "train", count=IMAGES, size=(40, 64))
    write_dataset(folder / "test", count=3, seed=1, size=(40, 64))
    return folder


@pytest.fixture(scope="module")
def campaign(data: Path) -> tuple[Config, CampaignFolder]:
    config = toy_config(data / "train", (data / "test",))
    return config, run_campaign(config, data / "run")


def small(campaign: CampaignFolder, **changes: object) -> Finish:
    plan = Finish.like(campaign.root.uri)
    return dataclasses.replace(plan, train=dataclasses.replace(plan.train, epochs=2), **changes)


@pytest.fixture(scope="module")
def finished(campaign: tuple[Config, CampaignFolder], data: Path) -> tuple[Finish, Folder]:
    plan = small(campaign[1], passes=2)
    return plan, finish(plan, data / "final")


def naive_maps(
    config: Config, campaign: CampaignFolder, members: list[networks.SaliencyNetwork]
) -> dict[str, np.ndarray]:
    """The mean of the members' maps of an image and its mirror image; one by one."""
    found = {}
    for rows in campaign.images(config):
        for record in rows:
            shape = record.height, record.width
            x = to_batch(resize(read_image(record.image), config.train.size)[None], CPU)
            maps = []
            for network in members:
                for flip in (False, True):
                    logits = network(network.normalise(x.flip(-1) if flip else x)).logits[network.prediction]
                    maps.append(saliency_maps(logits.flip(-1) if flip else logits, shape)[0].numpy())
            found[record.image_id] = np.mean(maps, 0)
    return found


def naive_masks(config: Config, campaign: CampaignFolder) -> dict[str, np.ndarray]:
    """The maps of the snapshots, overruled by clicks."""
    maps = naive_maps(config, campaign, read_snapshots(campaign.snapshots(1), config, CPU))
    points, superpixels = PointIndex(campaign.points(1)), campaign.superpixels(config)
    found = {}
    for rows in campaign.images(config):
        for record in rows:
            clicks, shape = points.of(record.image_id), (record.height, record.width)
            labels = region_labels(superpixels.get(record), *clicks, shape, "propagate")
            found[record.image_id] = np.where(labels == UNSURE, maps[record.image_id], labels)
    return found


def masks_of(final: Folder) -> dict[str, np.ndarray]:
    files = Path(final.uri, "masks").iterdir()
    return {path.stem: np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) for path in files}


def targets_of(taught: CampaignFolder, final: Path) -> dict[str, np.ndarray]:
    rows = records(taught.root.read_table("manifest.parquet"), str(final))
    return {row.image_id: row.read_soft_mask() for row in rows}


def test_masks_are_the_mean_of_the_snapshots_overruled_by_clicks(
    campaign: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    final = finish(small(campaign[1]), tmp_path / "final")
    found, wanted = masks_of(final), naive_masks(*campaign)
    assert found.keys() == wanted.keys()
    for image_id, expected in wanted.items():
        assert np.abs(found[image_id].astype(float) - 255 * expected).max() <= 0.51
    shares = {row["image_id"]: row for row in final.read_table(SHARES).to_pylist()}
    truth = {row.image_id: row.read_mask() for rows in campaign[1].images(campaign[0]) for row in rows}
    for image_id, expected in wanted.items():
        sure = (expected > 0.8) | (expected < 0.2)
        assert shares[image_id]["sure"] == pytest.approx(sure.mean(), abs=0.01)
        assert shares[image_id]["salient"] == pytest.approx((expected >= 0.5).mean(), abs=0.01)
        assert shares[image_id]["wrong"] == pytest.approx(
            ((expected >= 0.5) != truth[image_id]).mean(), abs=0.01
        )


def test_the_result_holds_points_a_data_set_a_network_and_its_metrics(
    campaign: tuple[Config, CampaignFolder], finished: tuple[Finish, Folder]
) -> None:
    final = finished[1]
    assert final.read_table(POINTS).num_rows == 4 * IMAGES
    assert final.read_table(POINTS)["image_id"].to_pylist() == sorted(
        final.read_table(POINTS)["image_id"].to_pylist()
    )
    checked = check_folder(final.uri)
    assert checked.ok
    assert not [name for name in final.names() if name.startswith("pass-")]
    trained = config_file.saved(final, "network.yaml", DeliveredNetwork)
    assert (trained.size, trained.network.name) == (64, "toy_network:Toy")
    network = networks.build(trained.network, load_weights=False)
    networks.load_snapshot(network, final.read_bytes("network.pt"))
    figures = final.read_json(METRICS)
    assert figures["clicks"] == 4
    assert figures["images"] == IMAGES
    trainings = figures["trainings"]
    assert [*trainings] == ["pass-1", "pass-2"]
    assert figures["network"] == trainings["pass-2"] != trainings["pass-1"]
    assert [cost["passes"] for cost in final.read_json(COST).values()] == [2 * IMAGES] * 2
    assert figures["snapshots"]["test"] == campaign[1].round(1).read_json(METRICS)["test"]["ensemble"]
    assert figures["full_masks"] is None


def test_a_network_that_clicks_alone_teach_teaches_beside_the_snapshots(
    campaign: tuple[Config, CampaignFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its targets are the labelled pixels; the masks are the mean of the snapshots' maps and of its own."""
    config, run = campaign
    clicks = ClickTeacher(trained=True, border=0.2, coherence=0.3, balance="area")
    plan, train = small(run, clicks=clicks), finish_module.train
    plan = dataclasses.replace(plan, train=dataclasses.replace(plan.train, size=96, scales=(96,)))
    seen: list[tuple[str, TrainConfig]] = []
    targets: dict[str, np.ndarray] = {}
    trained_by_clicks: list[networks.SaliencyNetwork] = []

    def kept(taught: CampaignFolder, trained: Config, number: int, called: str) -> None:
        seen.append((called, trained.train))
        train(taught, trained, number, called)
        if called == "by-clicks":
            trained_by_clicks.extend(read_snapshots(taught.snapshots(0), trained, CPU))
            targets.update(targets_of(taught, tmp_path / "final"))

    monkeypatch.setattr(finish_module, "train", kept)
    final = finish(plan, tmp_path / "final")
    (first, by_clicks), (second, by_masks) = seen
    assert (first, second) == ("by-clicks", "pass-1")
    assert (by_clicks.loss, by_clicks.by_confidence, by_clicks.coherence) == ("bce", True, 0.3)
    assert by_masks == plan.train
    assert [*final.read_json(METRICS)["trainings"]] == ["by-clicks", "pass-1"]
    assert [*final.read_json(COST)] == ["by-clicks", "pass-1"]
    assert not final.exists("by-clicks/manifest.parquet")
    points, superpixels = PointIndex(run.points(1)), run.superpixels(config)
    snapshots = naive_maps(config, run, read_snapshots(run.snapshots(1), config, CPU))
    at_96 = dataclasses.replace(config, train=dataclasses.replace(config.train, size=96, scales=(96,)))
    own = naive_maps(at_96, run, trained_by_clicks)
    found = masks_of(final)
    for rows in run.images(config):
        for record in rows:
            name, shape = record.image_id, (record.height, record.width)
            labels = region_labels(superpixels.get(record), *points.of(name), shape, "propagate")
            target = targets[name]
            assert ((target > 128) == (labels == 1)).all()
            ring = np.ones(shape, bool)
            ring[2:-2, 2:-2] = False  # 0.03 of the shorter side of 40 pixels
            assert set(target[(labels == UNSURE) & ~ring].tolist()) <= {127, 128}
            assert set(target[(labels == UNSURE) & ring].tolist()) <= {102}, "127.5 (1 - 0.2)"
            both = (snapshots[name] + own[name]) / 2
            expected = np.where(labels == UNSURE, both, labels)
            assert np.abs(found[name].astype(float) - 255 * expected).max() <= 0.51


@pytest.mark.parametrize(
    "changes", [{"sieve": 1.5}, {"agreement": True}, {"targets": "weighted"}, {"targets": "soft"}]
)
def test_each_choice_is_made(
    campaign: tuple[Config, CampaignFolder],
    tmp_path: Path,
    changes: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Masks and targets differ from the default's where the choice is about them."""
    plan, read = small(campaign[1], **changes), dict[str, np.ndarray]()

    def kept(taught: CampaignFolder, trained: Config, *_: object) -> None:
        read.update(targets_of(taught, tmp_path / "final"))
        assert trained.train.by_confidence == (changes.get("targets") == "weighted")
        raise KeyboardInterrupt

    monkeypatch.setattr(finish_module, "train", kept)
    monkeypatch.setattr("atal_ray.campaign.finish.known.SURE", 0.5)  # a toy network is sure of nothing
    with pytest.raises(KeyboardInterrupt):
        finish(plan, tmp_path / "final")
    found, plain = masks_of(Folder(str(tmp_path / "final"))), naive_masks(*campaign)
    apart = max(np.abs(mask - 255 * plain[name]).max() for name, mask in found.items())
    assert (apart > 1) == ("targets" not in changes)
    greys = {level for target in read.values() for level in np.unique(target).tolist()}
    assert (greys <= {0, 255}) == ("targets" not in changes)


def test_the_recipe_is_the_networks_own_at_the_campaigns_sides(
    campaign: tuple[Config, CampaignFolder],
) -> None:
    plan, config = Finish.like(campaign[1].root.uri), campaign[0]
    recipe = presets.full_recipe("toy_network:Toy")
    assert (plan.train.loss, plan.train.schedule, plan.train.cycles) == ("bce+wiou", "triangular", 1)
    assert plan.train.epochs == recipe.epochs
    assert (plan.train.size, plan.train.batch_size) == (config.train.size, config.train.batch_size)
    assert presets.full_recipe("minet").loss == "bce+cel"


def test_a_killed_finish_goes_on_where_it_was(
    campaign: tuple[Config, CampaignFolder],
    finished: tuple[Finish, Folder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan, whole = finished
    shards: list[int] = []
    write = TeacherShard.__call__

    def stopped_once(actor: TeacherShard, row: dict[str, int]) -> dict[str, int]:
        shards.append(row["shard"])
        if len(shards) == 2:
            raise KeyboardInterrupt
        return write(actor, row)

    monkeypatch.setattr(TeacherShard, "__call__", stopped_once)
    with pytest.raises(KeyboardInterrupt):
        finish(plan, tmp_path / "final")
    for stage in ("train", "look", "deliver"):
        with monkeypatch.context() as patch:
            patch.setattr(finish_module, stage, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                finish(plan, tmp_path / "final")
    again = finish(plan, tmp_path / "final")
    assert shards == [0, 1, 1, 0, 1], "the second one again, then both of the second pass"
    for name in (POINTS, SHARES):
        assert again.read_table(name).equals(whole.read_table(name))
    assert again.read_json(METRICS) == whole.read_json(METRICS)
    assert all(np.array_equal(mask, masks_of(whole)[name]) for name, mask in masks_of(again).items())


def test_nothing_is_done_twice_and_full_masks_may_come_later(
    campaign: tuple[Config, CampaignFolder],
    finished: tuple[Finish, Folder],
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, _ = campaign
    dense = dataclasses.replace(config, regions=dataclasses.replace(config.regions, labels="dense"))
    run_campaign(dense, data / "full")
    monkeypatch.setattr(finish_module, "train", lambda *_: pytest.fail("trained again"))
    plan, final = finished
    before = final.read_json(METRICS)
    finish(dataclasses.replace(plan, compare=str(data / "full")), final.uri)
    after = final.read_json(METRICS)
    assert {**after, "full_masks": None} == before
    theirs = open_campaign(data / "full").round(0).read_json(METRICS)["test"]["ensemble"]
    share = after["full_masks"]["share"]["test"]["max_f"]
    assert share == pytest.approx(before["network"]["test"]["max_f"] / theirs["max_f"])
    first, *_ = sentences(after)
    assert first.startswith("4 clicks an image, test: maxF ")
    assert f"{share:.1%}" in first
    finish(plan, final.uri)


def test_the_report_of_the_campaign_says_first_what_was_delivered(
    campaign: tuple[Config, CampaignFolder],
) -> None:
    _, run = campaign
    before = run.root.read_bytes("report.html").decode()
    final = finish(small(run), f"{run.root.uri}/final")
    page = run.root.read_bytes("report.html").decode()
    for sentence in sentences(final.read_json(METRICS)):
        assert sentence in page
        assert sentence not in before
    assert page.index(sentence) < page.index("<dl class=")


def test_a_torn_image_is_named_and_can_be_left_out_by_the_same_command(
    campaign: tuple[Config, CampaignFolder], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, run = campaign
    image = Path(next(iter(run.images(config)))[2].image)
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    shutil.copytree(data / "test", tmp_path / "more")
    for folder, ending in (("images", "jpg"), ("masks", "png")):
        (tmp_path / "more" / folder / f"torn.{ending}").write_bytes(whole[:200])
    plan, shards = small(run), list[int]()
    work = TeacherShard.__call__
    monkeypatch.setattr(
        TeacherShard, "__call__", lambda actor, row: (shards.append(row["shard"]), work(actor, row))[1]
    )
    try:
        sentence = f"pass-1: masks: 1 image cannot be used, such as {image.stem}: .*--on-bad-file skip"
        with pytest.raises(DataError, match=sentence):
            finish(plan, tmp_path / "final")
        more = (*plan.tests, str(tmp_path / "more"))
        skipping = dataclasses.replace(plan, on_bad_file="skip", tests=more)
        final = finish(skipping, tmp_path / "final")
    finally:
        image.write_bytes(whole)
    assert shards == [0, 1, 0], "the shard without it is not done again"
    assert sorted(final.read_table(ERRORS)["image_id"].to_pylist()) == sorted([image.stem, "torn"])
    assert masks_of(final).keys() == {row.image_id for rows in run.images(config) for row in rows} - {
        image.stem
    }
    assert final.read_table(POINTS).num_rows == 4 * IMAGES


def test_people_who_have_no_masks_can_finish(
    campaign: tuple[Config, CampaignFolder], data: Path, tmp_path: Path
) -> None:
    """Their points are those of the campaign with masks; no metric of the images is taken."""
    config, run = campaign
    without = tmp_path / "photos"
    without.mkdir()
    for path in (data / "train" / "images").iterdir():
        (without / path.name).write_bytes(path.read_bytes())
    own = dataclasses.replace(
        config, data=dataclasses.replace(config.data, train=str(without), points=run.root.uri, tests=())
    )
    other = run_campaign(own, tmp_path / "run")
    final = finish(small(other), tmp_path / "final")
    figures = final.read_json(METRICS)
    assert figures["network"] == figures["snapshots"] == {}
    assert figures["shares"]["wrong"] is None
    assert len(masks_of(final)) == IMAGES
    assert sentences(figures)[-1].endswith("of the pixels")


def test_a_campaign_without_rounds_or_the_campaign_itself_is_refused(
    campaign: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    plan = small(campaign[1])
    with pytest.raises(ConfigError, match="is the campaign itself"):
        finish(plan, campaign[1].root.uri)
    (tmp_path / "photos" / "masks").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds files that were not made by `atal finish`"):
        finish(plan, tmp_path / "photos")
    assert not (tmp_path / "photos" / "finish.yaml").exists()
    two = (str(tmp_path / "a" / "set"), str(tmp_path / "b" / "set"))
    with pytest.raises(DataError, match=r"^tests names two folders of one name"):
        finish(dataclasses.replace(plan, tests=two), tmp_path / "final")
    with pytest.raises(DataError, match="does not exist"):
        finish(dataclasses.replace(plan, tests=two[:1]), tmp_path / "final")
    with pytest.raises(CampaignError):
        finish(dataclasses.replace(plan, compare=str(tmp_path)), tmp_path / "final")
    assert not (tmp_path / "final" / "points.parquet").exists(), "all of it is said before anything is made"
    with pytest.raises(ConfigError, match="is what targets weighted sets"):
        dataclasses.replace(plan, train=dataclasses.replace(plan.train, by_confidence=True))
    with pytest.raises(ConfigError, match=r"rounds is 3, but .* has finished 2"):
        finish(dataclasses.replace(plan, rounds=3), tmp_path / "final")
    with pytest.raises(CampaignError):
        Finish.like(tmp_path)


def test_a_finish_keeps_to_its_rounds_while_its_campaign_grows(data: Path, tmp_path: Path) -> None:
    config = toy_config(data / "train", (data / "test",))
    one = dataclasses.replace(config, budget=dataclasses.replace(config.budget, total=2))
    run = run_campaign(one, tmp_path / "run")
    plan = small(run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finish_module, "train", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            finish(plan, tmp_path / "final")
    run_campaign(config, tmp_path / "run")
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    final = finish(dataclasses.replace(plan, campaign=str(moved)), tmp_path / "final")
    assert final.read_table(POINTS).num_rows == 2 * IMAGES
    before = final.read_json(METRICS)
    shutil.copytree(data / "test", tmp_path / "more")
    plan = dataclasses.replace(plan, campaign=str(moved), tests=(*plan.tests, str(tmp_path / "more")))
    finish(plan, tmp_path / "final")
    now = final.read_json(METRICS)
    assert now["network"]["more"] == now["network"]["test"] == before["network"]["test"]
    assert now["trainings"]["pass-1"] == now["network"]
    assert final.names() == sorted(["campaign.lock", *(set(final.names()) - {"campaign.lock", "judged"})])


def test_rounds_of_a_call_that_did_nothing_are_forgotten(
    campaign: tuple[Config, CampaignFolder], tmp_path: Path
) -> None:
    nowhere = small(campaign[1], rounds=1, compare=str(tmp_path / "nowhere"))
    with pytest.raises(CampaignError):
        finish(nowhere, tmp_path / "final")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            finish_module, "require_network", lambda *_: (_ for _ in ()).throw(DataError("weights"))
        )
        with pytest.raises(DataError):
            finish(small(campaign[1], rounds=1), tmp_path / "final")
    assert (tmp_path / "final/finish.yaml").exists()
    final = finish(small(campaign[1]), tmp_path / "final")
    assert final.read_table(POINTS).num_rows == 4 * IMAGES


def test_a_network_is_trained_by_its_own_recipe_whatever_the_campaigns(
    campaign: tuple[Config, CampaignFolder],
) -> None:
    uri = campaign[1].root.uri
    plan = plan_of("finish", uri, ["--network.name", "minet"])
    assert isinstance(plan, Finish)
    assert plan == Finish.like(uri, "minet")
    assert (plan.network.name, plan.train.loss, plan.train.schedule) == ("minet", "bce+cel", "poly")
    assert plan.train.lr_max == presets.minet_full().train.lr_max * plan.train.batch_size / 4
    assert plan_of("finish", uri, []) == Finish.like(uri)


def test_masks_that_are_gone_are_not_needed(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "train", tmp_path / "train")
    run = run_campaign(toy_config(tmp_path / "train", ()), tmp_path / "run")
    shutil.rmtree(tmp_path / "train" / "masks")
    figures = finish(small(run), tmp_path / "final").read_json(METRICS)
    assert figures["shares"]["wrong"] is None


def test_a_faint_mask_is_not_read_as_a_full_one(tmp_path: Path) -> None:
    actor = TeacherShard.__new__(TeacherShard)
    image = tmp_path / "a.jpg"
    cv2.imwrite(str(image), np.zeros((4, 6, 3), np.uint8))
    record = Record("a", str(image), None, 4, 6, 1, b"", None, None)
    final = Folder(str(tmp_path / "final"))
    actor.task = TeacherTask(
        open_campaign(tmp_path), Config(), 1, final, final / "pass-1", Finish(targets="soft")
    )
    saliency = np.full((4, 6), 0.0, np.float32)
    saliency[1, 2] = 0.004
    actor._written(record, saliency)
    assert read_mask(tmp_path / "final/masks/a.png").sum() == 0
    assert read_mask(tmp_path / "final/pass-1/targets/a.png").sum() == 0


def test_a_linked_image_lies_in_the_result_as_a_file(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "train", tmp_path / "train")
    image = sorted((tmp_path / "train/images").iterdir())[0]
    image.rename(tmp_path / "train/elsewhere.jpg")
    image.symlink_to(Path("..") / "elsewhere.jpg")
    run = run_campaign(toy_config(tmp_path / "train", ()), tmp_path / "run")
    final = finish(small(run), tmp_path / "final")
    assert not Path(final.uri, "images", image.name).is_symlink()
    assert check_folder(final.uri).ok


def test_any_network_trains_on_the_masks_by_one_command(
    finished: tuple[Finish, Folder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ["run", "f3net-full", str(tmp_path / "other"), "--data.train", finished[1].uri]
    line += ["--network.name", "toy_network:WideToy", "--train.epochs", "1", "--train.size", "64"]
    line += ["--train.scales", "64", "--resources.backend", "inline"]
    monkeypatch.setattr("sys.argv", ["atal", *line])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    manifest = open_campaign(tmp_path / "other").root.read_table("manifest.parquet")
    assert [Path(row.mask).parent.name for row in records(manifest, finished[1].uri)] == ["masks"] * IMAGES
