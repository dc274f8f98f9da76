"""What a sweep tries: axes of fields, one campaign for each of their combinations, and budgets that one
campaign serves together.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Annotated, Any, ClassVar, Literal

import tyro
import yaml
from annotated_types import Ge

from atal_ray.config import Config, config_file
from atal_ray.config.bounds import Count, Words
from atal_ray.config.field_names import likely
from atal_ray.config.plugins import for_plugins, plugin_paths
from atal_ray.config.query import Predictor
from atal_ray.config.section import Section, require
from atal_ray.errors import AtalError, ConfigError, command
from atal_ray.store.location import Location

Metric = Literal["max_f", "mae", "s_measure"]
TOTAL = "budget.total"
ALONE = "campaign"
"""Name of the only trial where nothing but the budget is varied."""


@dataclass(frozen=True, kw_only=True)
class Sweep(Section):
    """Which fields are varied, what a trial is judged by, and the campaign that the rest is taken from."""

    may_change: ClassVar[tuple[str, ...]] = ("trials_at_once",)
    over: tuple[str, ...] = ()
    """Axes: query.top-percent=1,3,5 budget.total=6,10; A+B=[1,2],[3,4] varies two fields together."""
    metric: Metric = "max_f"
    """What a trial is judged by after every round."""
    member: Predictor = "ensemble"
    """Whose metric: the mean of the snapshots, or the last one alone."""
    test_set: str = ""
    """The test set that judges; unset: the first of data.tests."""
    stop_early: bool = False
    """Stop poor trials by ASHA, which compares trials that have equally many points."""
    grace: Annotated[Count, Words("every trial needs the points of at least one round")] = 4
    """stop_early: points an image that every trial gets before it may be stopped."""
    keep_one_in: Annotated[int, Ge(2)] = 3
    """stop_early: one of so many goes on at each rung; rungs are grace, grace times this, and so on."""
    trials_at_once: Count | None = None
    """Trials that run at the same time; unset: as many as the cluster has room for."""
    campaign: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)
    """What is not varied."""

    @property
    def axes(self) -> list["Axis"]:
        """The axes in the order given; ConfigError for one that cannot be read or repeats a field."""
        axes = [read_axis(text) for text in self.over]
        paths = [path for axis in axes for path in axis.paths]
        require(
            bool(axes), "over is empty: name at least one field and its values, as query.top-percent=1,3,5"
        )
        require(len(set(paths)) == len(paths), f"over names a field twice: {', '.join(sorted(paths))}")
        return axes

    @property
    def totals(self) -> list[int]:
        """Points an image that the sweep compares, ascending: the values of budget.total, or the campaign's
        own.
        """
        found = [axis for axis in self.axes if TOTAL in axis.paths]
        if not found:
            return [self.campaign.budget.total]
        require(
            found[0].paths == (TOTAL,),
            f"{TOTAL} cannot be varied together with another field: one campaign serves all its values",
        )
        values = [value for (value,) in found[0].values]
        wrong = [value for value in values if not isinstance(value, int) or isinstance(value, bool)]
        require(not wrong, f"{TOTAL}={wrong[:1]}: a budget is a whole number of points")
        return sorted(values)

    @property
    def judge(self) -> str:
        """Name of the test set that judges."""
        names = [Location.at(folder).resolved().name for folder in self.campaign.data.tests]
        names = names or ([] if self.campaign.data.train else ["test"])  # the embedded data
        require(bool(names), "data.tests is empty: a sweep needs a test set to judge its trials by")
        require(
            self.test_set in ("", *names),
            f"test-set {self.test_set} is not one of data.tests: {', '.join(names)}",
        )
        return self.test_set or names[0]

    @property
    def higher_is_better(self) -> bool:
        """Which way the metric is good."""
        return self.metric != "mae"

    def trials(self) -> list["Trial"]:
        """Every combination of the axes but for budget.total, the last axis fastest, each with the largest
        budget.

        Raises:
            ConfigError: a field is unknown, or a combination (named) is impossible.
        """
        axes = [axis for axis in self.axes if axis.paths != (TOTAL,)]
        found: dict[str, Trial] = {}
        for values in product(*(axis.values for axis in axes)):
            fields = {
                path: value
                for axis, point in zip(axes, values, strict=True)
                for path, value in zip(axis.paths, point, strict=True)
            }
            name = _name(fields)
            configs = [_configure(self.campaign, {**fields, TOTAL: total}, name) for total in self.totals]
            require(
                name not in found,
                f"two trials would be called {name}: a value is given twice, or differs in signs alone",
            )
            found[name] = Trial(name, fields, configs[-1])
        return list(found.values())

    def check(self) -> None:
        """Raise ConfigError for what cannot be swept; the trials are checked as they are made."""
        _ = self.judge
        for trial in self.trials():
            config = trial.config
            require(
                config.asks,
                f"{trial.name} asks for no points, which a sweep compares: no data.points, no dense labels",
            )
            require(
                config.budget.annotator == "oracle",
                "a sweep is answered from masks: use budget.annotator oracle",
            )
        most = max(self.totals)
        require(
            not self.stop_early or self.grace < most,
            f"grace {self.grace} spares every trial: it must be below the largest budget {most}",
        )
        uneven = [
            path for axis in self.axes for path in axis.paths if path in ("budget.start", "budget.per_round")
        ]
        require(
            not self.stop_early or self.campaign.resources.backend == "ray",
            "stop-early compares trials that run at the same time: use resources.backend ray",
        )
        require(
            not self.stop_early or not uneven,
            f"stop-early compares trials that have equally many points, not those of another {uneven[:1]}",
        )


@dataclass(frozen=True)
class Axis:
    """Fields that vary together, and the values that they take."""

    paths: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Trial:
    """One campaign of a sweep."""

    name: str
    """Of its folder."""
    fields: Mapping[str, Any]
    """What distinguishes it, by the path of the field."""
    config: Config


def read_axis(text: str) -> Axis:
    """The axis that `text` describes: FIELD=VALUE,... or FIELD+FIELD=[VALUE,VALUE],... with values as YAML
    has them.

    Raises:
        ConfigError: it cannot be read, or names a field that is no part of a result.
    """
    names, equals, listed = text.partition("=")
    paths = tuple(name.strip().replace("-", "_") for name in names.split("+"))
    try:
        values = yaml.safe_load(f"[{listed}]") if equals else []
    except yaml.YAMLError:
        values = []
    require(
        all(paths) and bool(values),
        f"over {text!r} cannot be read: write FIELD=VALUE,VALUE or A+B=[1,2],[3,4]",
    )
    for path in paths:
        require(
            not path.startswith(("resources.", "report.")),
            f"over {text!r}: {path} changes no result, so there is nothing to compare",
        )
        require(
            path != "data.tests",
            f"over {text!r}: trials that are judged by different test sets cannot be compared",
        )
    if len(paths) == 1:
        return Axis(paths, tuple((value,) for value in values))
    fitting = all(isinstance(value, list) and len(value) == len(paths) for value in values)
    require(fitting, f"over {text!r}: each value needs {len(paths)} parts in brackets, one for each field")
    return Axis(paths, tuple(tuple(value) for value in values))


def with_fields(config: Config, fields: Mapping[str, Any]) -> Config:
    """The configuration with fields set by their paths, such as query.top_percent.

    Raises:
        ConfigError: there is no such field, or the value does not fit it.
    """
    named = {path: fields[path] for path in plugin_paths(Config) if path in fields}
    tree: dict[str, Any] = dataclasses.asdict(for_plugins(config, named))
    for path, value in fields.items():
        node: Any = tree
        *sections, name = path.split(".")
        for section in sections:
            node = node.get(section) if isinstance(node, dict) else None
        known = isinstance(node, dict) and name in node and not isinstance(node[name], dict)
        require(
            known,
            f"{path} is no field of the configuration{likely(Config, path) or ':'} "
            f"{command('config', 'paper')} lists them",
        )
        node[name] = value
    return config_file.from_tree(Config, tree, "")


def _configure(base: Config, fields: Mapping[str, Any], name: str) -> Config:
    try:
        return config_file.absolute(with_fields(base, fields))
    except AtalError as error:
        raise ConfigError(f"trial {name}: {error}" if name != ALONE else str(error)) from error


def _name(fields: Mapping[str, Any]) -> str:
    """Such as top_percent-3_cycles-5."""
    leaves = [path.rpartition(".")[2] for path in fields]
    labels = leaves if len(set(leaves)) == len(leaves) else list(fields)
    parts = [f"{label}-{_slug(value)}" for label, value in zip(labels, fields.values(), strict=True)]
    return "_".join(parts)[:150] or ALONE


def _slug(value: Any) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", str(value)).strip("-.") or "empty"
