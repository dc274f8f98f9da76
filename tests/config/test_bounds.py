"""A value that its field cannot have is refused with one sentence, wherever it comes from."""

from dataclasses import replace
from typing import Annotated, Any, get_args

import pytest
import tyro
import yaml
from annotated_types import BaseMetadata, Ge, GroupedMetadata, MultipleOf

from atal_ray.acquisition.methods.cset import CoreSetConfig
from atal_ray.acquisition.methods.isal import InfluenceConfig
from atal_ray.acquisition.methods.llal import PredictedLossConfig, RandomSubsetConfig
from atal_ray.acquisition.methods.mcdr import McdrConfig, WindowsConfig
from atal_ray.acquisition.methods.nes import NesConfig
from atal_ray.acquisition.methods.ta_vaal import UnlabelledConfig
from atal_ray.acquisition.scores.impurity import ImpurityConfig
from atal_ray.acquisition.strategies.power import PowerConfig
from atal_ray.acquisition.strategies.top_share import TopShareConfig
from atal_ray.campaign.export_points import ExportPoints
from atal_ray.campaign.finish.delivered_network import DeliveredNetwork
from atal_ray.campaign.finish.finish_plan import ClickTeacher, Finish
from atal_ray.campaign.generate import Generation
from atal_ray.campaign.serve_questions import AnnotateConfig
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
from atal_ray.config.bounds import refusal
from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.config.section import Section
from atal_ray.errors import ConfigError
from atal_ray.evaluation.predict_images import PredictConfig
from atal_ray.studies.cross_validation import CrossValidation
from atal_ray.studies.paper.study import Studies
from atal_ray.studies.sweep.plan import Sweep

NAN = float("nan")
SHARE = "the candidate set needs a value in (0, 100]"
OF_CAMPAIGN: list[tuple[type[Section], dict[str, Any], str]] = [
    (AnnotationConfig, {"enough": 0.0}, "annotation.enough is 0.0: use a value in (0, 1]"),
    (AnnotationConfig, {"deadline_hours": 0.0}, "annotation.deadline-hours is 0.0: it must be positive"),
    (DataConfig, {"limit": 0}, "data.limit is 0: use at least 1 image"),
    (DataConfig, {"test_limit": -1}, "data.test-limit is -1: use at least 1 image"),
    (TrainConfig, {"cycles": 0}, "train.cycles (L) is 0: at least one snapshot is needed"),
    (TrainConfig, {"epochs": 0}, "train.epochs is 0: use at least 1"),
    (TrainConfig, {"epochs": 4}, "train.epochs is 4: each of the 5 cycles needs at least one"),
    (TrainConfig, {"epochs": 12}, "train.epochs 12 cannot be split into 5 equal cycles: choose 10 or 15"),
    (TrainConfig, {"workers": 0}, "train.workers is 0: use at least 1"),
    (TrainConfig, {"threads": 0}, "train.threads is 0: use at least 1"),
    (TrainConfig, {"batch_size": 0}, "train.batch-size is 0: use at least 1"),
    (TrainConfig, {"workers": 3}, "train.batch-size 32 cannot be shared equally by 3 workers"),
    (
        TrainConfig,
        {"workers": 2, "batch_size": 1},
        "train.batch-size 1 cannot be shared equally by 2 workers",
    ),
    (TrainConfig, {"size": 63}, "train.size is 63: use at least 64 px"),
    (TrainConfig, {"scales": (96, 17)}, "train.scales holds 17: use at least 64 px"),
    (TrainConfig, {"scales": ()}, "train.scales is empty: give at least one side"),
    (TrainConfig, {"lr_min": -0.1}, "train.lr-min is -0.1: it cannot be negative"),
    (TrainConfig, {"lr_min": 0.05}, "train.lr-min 0.05 must be below train.lr-max 0.05"),
    (TrainConfig, {"lr_max": NAN}, "train.lr-min 0.0 must be below train.lr-max nan"),
    (TrainConfig, {"momentum": 1.0}, "train.momentum is 1.0: use a value in [0, 1)"),
    (TrainConfig, {"momentum": -0.1}, "train.momentum is -0.1: use a value in [0, 1)"),
    (TrainConfig, {"weight_decay": -1e-4}, "train.weight-decay is -0.0001: it cannot be negative"),
    (TrainConfig, {"coherence": -0.3}, "train.coherence is -0.3: it cannot be negative"),
    (TrainConfig, {"consistency": -1.0}, "train.consistency is -1.0: it cannot be negative"),
    (TrainConfig, {"backbone_ratio": 0.0}, "train.backbone-ratio is 0.0: it must be positive"),
    (AttackConfig, {"epsilon": 0.0}, "attack.epsilon is 0.0: use a value in (0, 1]"),
    (AttackConfig, {"epsilon": 8.0}, "attack.epsilon is 8.0: use a value in (0, 1]"),
    (AttackConfig, {"alpha": 0.0}, "attack.alpha is 0.0: it must be positive"),
    (AttackConfig, {"steps": 0}, "attack.steps is 0: use at least 1"),
    (AttackConfig, {"scale": 0.0}, "attack.scale is 0.0: use a value in (0, 1]"),
    (AttackConfig, {"scale": 1.5}, "attack.scale is 1.5: use a value in (0, 1]"),
    (QueryConfig, {"top_percent": 0.0}, f"query.top-percent (K) is 0.0: {SHARE}"),
    (QueryConfig, {"top_percent": 100.5}, f"query.top-percent (K) is 100.5: {SHARE}"),
    (QueryConfig, {"top_percent": NAN}, f"query.top-percent (K) is nan: {SHARE}"),
    (QueryConfig, {"cover_factor": 0}, "query.cover-factor is 0: the cover must hold at least k candidates"),
    (QueryConfig, {"cover_images": 0}, "query.cover-images is 0: use at least 1 image"),
    (QueryConfig, {"cover_weight": -0.5}, "query.cover-weight is -0.5: use 0 to 1"),
    (QueryConfig, {"floor": -1}, "query.floor is -1: it cannot be negative"),
    (QueryConfig, {"ceiling": 0, "floor": 0}, "query.ceiling is 0: use at least 1"),
    (QueryConfig, {"floor": 3, "ceiling": 2}, "query.ceiling 2 is below query.floor 3"),
    (QueryConfig, {"shortlist_percent": 0.0}, "query.shortlist-percent is 0.0: use a value in (0, 100]"),
    (QueryConfig, {"margin": 0.5}, "query.margin is 0.5: use a value in [0, 0.5)"),
    (QueryConfig, {"near_boundary": 1.5}, "query.near-boundary is 1.5: use 0 to 1"),
    (QueryConfig, {"shard_size": 0}, "query.shard-size is 0: use at least 1 image"),
    (QueryConfig, {"batch_size": 0}, "query.batch-size is 0: use at least 1 image"),
    (QueryConfig, {"threads": 0}, "query.threads is 0: use at least 1"),
    (RegionConfig, {"superpixels": 0}, "regions.superpixels is 0: use at least 1"),
    (RegionConfig, {"levels": 0}, "regions.levels is 0: use at least 1"),
    (RegionConfig, {"prior": 6}, "regions.prior is 6: use 0 to 5"),
    (RegionConfig, {"prior": -1}, "regions.prior is -1: use 0 to 5"),
    (RegionConfig, {"bins": 0}, "regions.bins is 0: use at least 1"),
    (RegionConfig, {"iterations": 0}, "regions.iterations is 0: use at least 1"),
    (BudgetConfig, {"start": 0}, "budget.start is 0: round 0 needs at least one point an image"),
    (BudgetConfig, {"per_round": 0}, "budget.per-round (k) is 0: ask at least one point a round"),
    (BudgetConfig, {"earlier": (2, 0)}, "budget.earlier holds 0: use at least 1"),
    (BudgetConfig, {"total": 1}, "budget.total 1 is below budget.start 2"),
    (BudgetConfig, {"per_round": 4}, "budget.total 20 is not reached from 2 in steps of 4: choose 18 or 22"),
    (ResourceConfig, {"query_actors": 0}, "resources.query-actors is 0: use at least 1"),
    (ResourceConfig, {"loader_workers": -1}, "resources.loader-workers is -1: it cannot be negative"),
    (ResourceConfig, {"cache_mib": -1}, "resources.cache-mib is -1: it cannot be negative"),
    (ResourceConfig, {"wait_minutes": -1.0}, "resources.wait-minutes is -1.0: it cannot be negative"),
    (ResourceConfig, {"object_store_mib": 79}, "resources.object-store-mib is 79: Ray needs at least 80"),
    (
        ResourceConfig,
        {"scoring_nodes": {"role": "a b"}},
        "resources.scoring-nodes holds 'a b': a label and its value have letters, digits, . _ - and / only",
    ),
    (
        ResourceConfig,
        {"loading_nodes": {"a=b": "c"}},
        "resources.loading-nodes holds 'a=b': a label and its value have letters, digits, . _ - and / only",
    ),
]
OF_OTHERS: list[tuple[type[Section], dict[str, Any], str]] = [
    (Generation, {"points": 0}, "points is 0: ask at least one an image"),
    (Studies, {"seeds": 0}, "seeds is 0: use at least 1"),
    (Studies, {"trials_at_once": 0}, "trials-at-once is 0: use at least 1"),
    (Sweep, {"grace": 0}, "grace is 0: every trial needs the points of at least one round"),
    (Sweep, {"keep_one_in": 1}, "keep-one-in is 1: use at least 2"),
    (Sweep, {"trials_at_once": 0}, "trials-at-once is 0: use at least 1"),
    (CrossValidation, {"networks": ()}, "networks are (): give each of them once"),
    (EvaluationConfig, {"size": 63}, "size is 63: use at least 64 px"),
    (EvaluationConfig, {"batch_size": 0}, "batch-size is 0: use at least 1 image"),
    (EvaluationConfig, {"mask_threshold": 255}, "mask-threshold is 255: use 0 to 254"),
    (EvaluationConfig, {"mask_threshold": -1}, "mask-threshold is -1: use 0 to 254"),
    (EvaluationConfig, {"actors": -1}, "actors is -1: it cannot be negative"),
    (NetworkConfig, {"width": 0}, "network.width is 0: use at least 1"),
    (NetworkConfig, {"dropout": 1.0}, "network.dropout is 1.0: use a value in [0, 1)"),
    (EvaluationConfig, {"object_store_mib": 79}, "object-store-mib is 79: Ray needs at least 80"),
    (EvaluationConfig, {"compare": ("ours",)}, "compare names one method: name at least two"),
    (Finish, {"rounds": 0}, "rounds is 0: use at least 1"),
    (Finish, {"passes": 0}, "passes is 0: train at least one network"),
    (AnnotateConfig, {"people": ()}, "people is empty: name at least one person"),
    (AnnotateConfig, {"port": 70000}, "port is 70000: use 0 to 65535"),
    (AnnotateConfig, {"shared": 1.5}, "shared is 1.5: use 0 to 1"),
    (AnnotateConfig, {"control_share": -0.1}, "control-share is -0.1: use 0 to 1"),
    (AnnotateConfig, {"away_seconds": 0}, "away-seconds is 0: use at least 1"),
    (ExportPoints, {"formats": ()}, "formats is empty: name at least one format"),
    (ExportPoints, {"rounds": 0}, "rounds is 0: use at least 1"),
    (ExportPoints, {"dilate": -1}, "dilate is -1: it cannot be negative"),
    (Finish, {"finer": -1}, "finer is -1: it cannot be negative"),
    (Finish, {"sieve": -1.0}, "sieve is -1.0: it cannot be negative"),
    (ClickTeacher, {"border": 1.5}, "clicks.border is 1.5: use 0 to 1"),
    (ClickTeacher, {"coherence": -0.3}, "clicks.coherence is -0.3: it cannot be negative"),
    (ClickTeacher, {"consistency": -0.3}, "clicks.consistency is -0.3: it cannot be negative"),
    (DeliveredNetwork, {"size": 63}, "size is 63: use at least 64 px"),
    (PredictConfig, {"batch_size": 0}, "batch-size is 0: use at least 1 image"),
    (PredictConfig, {"actors": -1}, "actors is -1: it cannot be negative"),
    (PredictConfig, {"object_store_mib": 79}, "object-store-mib is 79: Ray needs at least 80"),
]
OF_PLUGINS: list[tuple[type[Section], dict[str, Any], str]] = [
    (ImpurityConfig, {"radius": 0}, "query.impurity.radius is 0: use at least 1"),
    (TopShareConfig, {"percent": 0.0}, "query.top-share.percent is 0.0: use a value in (0, 100]"),
    (PowerConfig, {"beta": 0.0}, "query.power.beta is 0.0: it must be positive"),
    (McdrConfig, {"passes": 1}, "query.mcdr.passes is 1: use at least 2"),
    (WindowsConfig, {"side": 0}, "query.windows.side is 0: use at least 1"),
    (CoreSetConfig, {"centres": 0}, "query.core-set.centres is 0: use at least 1"),
    (PredictedLossConfig, {"weight": 0.0}, "query.predicted-loss.weight is 0.0: it must be positive"),
    (PredictedLossConfig, {"margin": -1.0}, "query.predicted-loss.margin is -1.0: it cannot be negative"),
    (PredictedLossConfig, {"channels": 0}, "query.predicted-loss.channels is 0: use at least 1"),
    (PredictedLossConfig, {"pairs": 0}, "query.predicted-loss.pairs is 0: use at least 1"),
    (
        PredictedLossConfig,
        {"detach": 1.5},
        "query.predicted-loss.detach is 1.5: use a share of the epochs, 0 to 1",
    ),
    (RandomSubsetConfig, {"percent": 101.0}, "query.random-subset.percent is 101.0: use a value in (0, 100]"),
    (UnlabelledConfig, {"latent": 0}, "query.unlabelled.latent is 0: use at least 1"),
    (UnlabelledConfig, {"width": 0}, "query.unlabelled.width is 0: use at least 1"),
    (UnlabelledConfig, {"beta": -0.1}, "query.unlabelled.beta is -0.1: it cannot be negative"),
    (UnlabelledConfig, {"rate": 0.0}, "query.unlabelled.rate is 0.0: it must be positive"),
    (UnlabelledConfig, {"epochs": 0}, "query.unlabelled.epochs is 0: use at least 1"),
    (UnlabelledConfig, {"batch_size": 0}, "query.unlabelled.batch-size is 0: use at least 1"),
    (UnlabelledConfig, {"most_images": 0}, "query.unlabelled.most-images is 0: use at least 1"),
    (InfluenceConfig, {"reference": 0.0}, "query.influence.reference is 0.0: use a value in (0, 1]"),
    (InfluenceConfig, {"damping": 0.0}, "query.influence.damping is 0.0: it must be positive"),
    (NesConfig, {"members": 0}, "query.nes.members is 0: use at least 1"),
    (NesConfig, {"networks": ()}, "query.nes.networks is empty: give at least one"),
    (NesConfig, {"widths": (0,)}, "query.nes.widths holds 0: use at least 1"),
    (NesConfig, {"dropouts": (1.0,)}, "query.nes.dropouts holds 1.0: use a value in [0, 1)"),
]
ALL = [*OF_CAMPAIGN, *OF_OTHERS]


def options(values: dict[str, Any]) -> list[str]:
    """The values as they stand on a command line."""
    words = []
    for name, value in values.items():
        many = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
        words.append(f"--{name}")
        words += [str(part) for part in (many if isinstance(many, tuple | list) else [value])]
    return [word.replace("_", "-") if word.startswith("--") else word for word in words]


@pytest.mark.parametrize(("section", "values", "sentence"), ALL)
def test_direct_construction(section: type[Section], values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as made:
        section(**values)
    assert str(made.value) == sentence
    with pytest.raises(ConfigError) as replaced:
        replace(section(), **values)  # type: ignore[type-var]
    assert str(replaced.value) == sentence


@pytest.mark.parametrize(("section", "values", "sentence"), OF_PLUGINS)
def test_settings_of_a_plug_in_are_refused_by_their_path(
    section: type[Section], values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as made:
        section(**values)
    assert str(made.value) == sentence


@pytest.mark.parametrize(("section", "values", "sentence"), ALL)
def test_yaml_is_refused_with_the_same_sentence(
    section: type[Section], values: dict[str, Any], sentence: str
) -> None:
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    text = yaml.safe_dump({section.path: plain} if section.path else plain)
    whole = Finish if section is ClickTeacher else Config if section.path else section
    with pytest.raises(ConfigError) as refused:
        config_file.tree_from_yaml(whole, text, "my.yaml")
    assert str(refused.value) == f"my.yaml: {sentence}"


@pytest.mark.parametrize(("section", "values", "sentence"), ALL)
def test_the_command_line_is_refused_with_the_same_sentence(
    section: type[Section], values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        tyro.cli(section, args=options(values))
    assert str(refused.value) == sentence


def test_yaml_names_every_field_that_is_wrong_inside_a_sweep_too() -> None:
    text = "grace: 0\ncampaign: {train: {cycles: 0, scales: [17, 18], cycle: 1}, query: {cover: best}}\n"
    with pytest.raises(ConfigError) as refused:
        config_file.tree_from_yaml(Sweep, text, "sweep.yaml")
    assert str(refused.value).split("; ") == [
        "sweep.yaml: campaign.train.cycle: there is no such field, did you mean campaign.train.cycles?",
        "grace is 0: every trial needs the points of at least one round",
        "train.scales holds 17: use at least 64 px",
        "train.cycles (L) is 0: at least one snapshot is needed",
        "campaign.query.cover: Input should be 'kcenter' or 'maxsum' (it is 'best')",
    ]


def bounded(hint: Any) -> bool:
    """Whether a type, or a part of it, has bounds."""
    own = isinstance(hint, BaseMetadata | GroupedMetadata)
    return own or any(bounded(part) for part in (*get_args(hint), *getattr(hint, "__metadata__", ())))


def test_every_bound_of_every_section_is_tried() -> None:
    tried = {(section, name) for section, values, _ in [*ALL, *OF_PLUGINS] for name in values}
    sections = {section for section, _, _ in [*ALL, *OF_PLUGINS]}
    ours = {kind for kind in Section.__subclasses__() if kind.__module__.startswith("atal_ray")}
    assert ours - sections == {Config, ReportConfig}  # without bounds
    absent = [
        (section.__name__, name)
        for section in ours
        for name, hint in section.field_types.items()
        if bounded(hint) and (section, name) not in tried
    ]
    assert not absent


def test_values_at_the_bounds_are_taken() -> None:
    TrainConfig(size=64, scales=(64,), epochs=1, cycles=1, batch_size=1, momentum=0.0, weight_decay=0.0)
    AttackConfig(epsilon=1.0, scale=1.0, steps=1)
    QueryConfig(top_percent=100.0, cover_weight=1.0, near_boundary=0.0, floor=0, ceiling=1)
    RegionConfig(prior=5)
    ResourceConfig(wait_minutes=0, loader_workers=0, object_store_mib=80, scoring_nodes={"a/b": "c.d_e-f"})
    EvaluationConfig(mask_threshold=0, actors=0)
    EvaluationConfig(mask_threshold=254)
    DataConfig(limit=None, test_limit=1)


def test_a_bound_that_is_not_checked_or_has_no_words_is_noticed() -> None:
    with pytest.raises(TypeError, match="nobody checks"):
        refusal("side", Annotated[int, MultipleOf(32)], 33)
    with pytest.raises(TypeError, match="needs Words"):
        refusal("share", Annotated[float, Ge(1), Ge(2)], 0)
