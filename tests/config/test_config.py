import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from atal_ray.config import (
    AnnotationConfig,
    AttackConfig,
    BudgetConfig,
    Config,
    DataConfig,
    NetworkConfig,
    QueryConfig,
    RegionConfig,
    ReportConfig,
    ResourceConfig,
    TrainConfig,
    config_file,
)
from atal_ray.errors import ConfigError

UNLIKE_DEFAULTS = Config(
    seed=7,
    data=DataConfig(
        train="a b",
        tests=("x", "y: z"),
        subset="ids.txt",
        limit=3,
        test_limit=4,
        metrics=("iou",),
        on_bad_file="skip",
    ),
    network=NetworkConfig(name="f3net-small", weights="random", stride_on="1x1", width=8, dropout=0.1),
    train=TrainConfig(
        size=64,
        scales=(64, 96),
        epochs=6,
        cycles=2,
        schedule="poly",
        loss="bce+cel",
        by_confidence=True,
        coherence=0.3,
        consistency=0.1,
        augment="rotate",
        batch_size=4,
        drop_last=True,
        lr_max=1 / 3,
        lr_min=1e-7,
        backbone_ratio=1.0,
        freeze_stem=False,
        momentum=0.5,
        nesterov=False,
        weight_decay=1e-5,
        decay_on="no-bias-no-bn",
        half=False,
        compile=True,
        warm_start=True,
        workers=1,
        threads=3,
    ),
    attack=AttackConfig(epsilon=0.1, alpha=1 / 255, steps=2, model="ensemble", labels="points", scale=0.5),
    query=QueryConfig(
        method="ent",
        score="margin",
        strategy="top",
        top_percent=2.5,
        cover="maxsum",
        cover_space="features",
        cover_weight=0.1,
        cover_factor=3,
        similarity="nearest",
        floor=0,
        ceiling=9,
        shortlist_percent=80,
        cover_images=50,
        near_boundary=0.25,
        margin=0.1,
        shard_size=5,
        batch_size=2,
        precision="bfloat16",
        threads=2,
    ),
    regions=RegionConfig(
        labels="dense",
        method="squares",
        superpixels=50,
        levels=2,
        prior=0,
        bins=3,
        double_step=False,
        iterations=1,
    ),
    budget=BudgetConfig(
        start=1, start_strategy="centre", per_round=3, total=9, annotator="answers", earlier=(2,)
    ),
    annotation=AnnotationConfig(enough=0.9, deadline_hours=12.0, wait=True),
    report=ReportConfig(image_scores=True, compare=("random", "full")),
    resources=ResourceConfig(
        backend="inline",
        query_actors=2,
        gpus="none",
        loader_workers=1,
        cache_mib=0,
        object_store_mib=100,
        wait_minutes=5,
        index="numpy",
        superpixels="maps",
        scoring_nodes={"role": "accelerator"},
        loading_nodes={"role": "cpu"},
    ),
)
FROM_POINTS = Config(
    data=DataConfig(points="points.parquet"),
    query=QueryConfig(scope="dataset"),
    train=TrainConfig(workers=2, ensemble="networks"),
)  # what full masks, no RDS or backend inline exclude


def leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(tree):
        value = getattr(tree, field.name)
        found |= (
            leaves(value, f"{prefix}{field.name}.")
            if is_dataclass(value)
            else {f"{prefix}{field.name}": value}
        )
    return found


def test_k_may_not_exceed_the_candidate_set() -> None:
    train, budget = TrainConfig(size=64, scales=(64,)), BudgetConfig(start=2, per_round=41, total=43)
    Config(train=train, budget=budget, query=QueryConfig(top_percent=1.01))
    with pytest.raises(
        ConfigError, match=r"\(k\) 41 is larger than the candidate set: 1 % of 64x64 pixels is 40"
    ):
        Config(train=train, budget=budget, query=QueryConfig(top_percent=1.0))


@pytest.mark.parametrize("side", [64, 100, 353])
def test_any_side_from_64_is_taken_here_and_judged_by_the_network(side: int) -> None:
    assert TrainConfig(size=side, scales=(side,)).size == side


@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        ({"loss": "bce+wiou"}, "train.loss bce+wiou with train.augment crop"),
        ({"augment": "rotate"}, "train.loss bce with train.augment rotate"),
    ],
)
@pytest.mark.parametrize("labels", ["propagate", "none", "oracle_mask"])
def test_full_supervision_needs_full_masks(recipe: dict[str, Any], named: str, labels: Any) -> None:
    Config(train=TrainConfig(**recipe), regions=RegionConfig(labels="dense"))
    with pytest.raises(
        ConfigError, match=rf"{re.escape(named)} needs full masks: .* set regions\.labels to \"dense\""
    ):
        Config(train=TrainConfig(**recipe), regions=RegionConfig(labels=labels))


def test_points_and_full_masks_exclude_each_other() -> None:
    assert (FROM_POINTS.asks, FROM_POINTS.rounds) == (False, 1)
    with pytest.raises(
        ConfigError, match=r"data\.points gives labelled points, but regions\.labels dense reads full masks"
    ):
        replace(FROM_POINTS, regions=RegionConfig(labels="dense"))


def test_one_budget_for_all_images_keeps_floor_and_ceiling_around_the_mean() -> None:
    Config(query=QueryConfig(scope="dataset", floor=2, ceiling=2))
    Config(query=QueryConfig(floor=3, ceiling=5))  # of no account image by image
    for floor, ceiling in ((3, 5), (0, 1)):
        with pytest.raises(
            ConfigError,
            match=rf"query\.floor <= budget\.per-round <= query\.ceiling, not {floor} <= 2 <= {ceiling}",
        ):
            Config(query=QueryConfig(scope="dataset", floor=floor, ceiling=ceiling))
    with pytest.raises(ConfigError, match=r"needs query\.strategy rds, not random"):
        Config(query=QueryConfig(scope="dataset", strategy="random"))


def test_rounds_follow_from_the_budget() -> None:
    assert BudgetConfig(start=2, per_round=2, total=20).rounds == 10
    assert BudgetConfig(start=3, per_round=2, total=3).rounds == 1
    assert BudgetConfig(start=1, per_round=4, total=9).rounds == 3
    assert Config(budget=BudgetConfig(total=8)).rounds == 4
    assert Config(budget=BudgetConfig(total=8), regions=RegionConfig(labels="dense")).rounds == 1


def test_yaml_round_trip_of_every_field() -> None:
    default, changed, other = leaves(Config()), leaves(UNLIKE_DEFAULTS), leaves(FROM_POINTS)
    assert not [path for path in default if default[path] == changed[path] == other[path]], (
        "one example must differ in every field"
    )
    for config in (Config(), UNLIKE_DEFAULTS, FROM_POINTS):
        assert config_file.from_yaml(config_file.to_yaml(config)) == config


def test_yaml_holds_the_complete_tree() -> None:
    assert list(leaves(Config())) == [
        f"{name}.{key}" if isinstance(value, dict) else name
        for name, value in yaml.safe_load(config_file.to_yaml(Config())).items()
        for key in (value if isinstance(value, dict) else [None])
    ]


def test_fields_left_out_keep_their_defaults() -> None:
    assert config_file.from_yaml("seed: 3\ntrain: {cycles: 7}\n") == Config(
        seed=3, train=TrainConfig(cycles=7)
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed: 1\nsede: 2\n", "sede"),
        ("train: {cycle: 2}\n", "train.cycle"),
        ("train: {cycles: many}\n", "train.cycles"),
        ("query: {strategy: best}\n", "query.strategy"),
        ("train:\n", "train"),
        ("- 1\n", "does not hold a mapping"),
        ("", "does not hold a mapping"),
        ("seed: [1\n", "is not valid YAML"),
    ],
)
def test_bad_yaml_is_refused_by_file_and_field(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=r"^my\.yaml") as refusal:
        config_file.from_yaml(text, "my.yaml")
    assert sentence in str(refusal.value)


def test_load_names_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read"):
        config_file.load(tmp_path / "none.yaml")
    (tmp_path / "image.yaml").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ConfigError, match=r"image\.yaml cannot be read"):
        config_file.load(tmp_path / "image.yaml")


CHANGEABLE = {
    *(f"annotation.{name}" for name in AnnotationConfig.may_change),
    *(f"data.{name}" for name in DataConfig.may_change),
    *(f"budget.{name}" for name in BudgetConfig.may_change),
    *(f"network.{name}" for name in NetworkConfig.may_change),
}


def test_differences_name_every_field_but_those_that_may_change() -> None:
    assert (
        config_file.differences(Config(), Config(resources=ResourceConfig(query_actors=5, gpus="none"))) == []
    )
    found = config_file.differences(FROM_POINTS, UNLIKE_DEFAULTS)
    assert [line.partition(":")[0] for line in found] == [
        path
        for path in leaves(Config())
        if path.partition(".")[0] not in ("resources", "report") and path not in CHANGEABLE
    ]
    changed = replace(Config(), seed=2, train=TrainConfig(scales=(352,)))
    assert config_file.differences(Config(), changed) == [
        "seed: 0 -> 2",
        "train.scales: (224, 256, 288, 320, 352) -> (352,)",
    ]


def test_absolute_paths_name_the_same_files_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config(
        data=DataConfig(train="a", tests=("b", "/c"), subset="d.txt", points="e.parquet"),
        network=NetworkConfig(weights="w.pth"),
    )
    found = config_file.absolute(config)
    assert found.data == DataConfig(
        train=f"{tmp_path}/a",
        tests=(f"{tmp_path}/b", "/c"),
        subset=f"{tmp_path}/d.txt",
        points=f"{tmp_path}/e.parquet",
    )
    beside = config_file.absolute(Config(report=ReportConfig(compare=("a", "s3://b/c")))).report
    assert beside.compare == (f"{tmp_path}/a", "s3://b/c")
    assert found.network.weights == f"{tmp_path}/w.pth"
    assert config_file.absolute(Config()) == Config()
    assert config_file.absolute(Config(network=NetworkConfig(weights="random"))).network.weights == "random"
