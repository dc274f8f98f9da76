"""The units of work of studies: campaigns by what they depend on, each run once whoever needs it.

FOLDER/units/NAME-KEY-SEED/   a campaign; the key is a digest of its configuration but for the last budget
FOLDER/units/given-...        a training on the points of another; the key is of that one and its points too
FOLDER/units/finished-...     a finish
FOLDER/first/KEY-SEED/        a first round that several of them go on from
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from atal_ray.campaign.campaign_folder import MANIFEST, METRICS, CampaignFolder
from atal_ray.campaign.changes import admit
from atal_ray.config import AnnotationConfig, Config, ReportConfig, ResourceConfig, config_file
from atal_ray.config.config_file import CONFIG
from atal_ray.store import uri as stores
from atal_ray.store.folder import Folder
from atal_ray.studies.paper.arm import Arm, Source
from atal_ray.studies.sweep.sharing import until_first_query
from atal_ray.studies.sweep.sweep import Jobs
from atal_ray.studies.sweep.trial_jobs import TrialJob

UNITS, FIRST = "units", "first"


@dataclass(frozen=True)
class Unit:
    """A campaign that studies read, or what is trained on the points of one.

    Args:
        name: of its folder.
        config: with the largest budget that anybody needs.
        source: whose points it is given, with the seed of this unit.
    """

    name: str
    config: Config
    source: Source | None = None

    @property
    def rounds(self) -> int:
        """How many rounds are trained."""
        return self.config.rounds


def digest_of(config: Config) -> str:
    """What a campaign's rounds depend on, in ten digits: not how it is spread, shown, or how far it goes."""
    budget = config.budget
    base = replace(
        config,
        seed=0,  # stands in the name
        resources=ResourceConfig(),
        report=ReportConfig(),
        annotation=AnnotationConfig(),
        data=replace(
            config.data,
            train=named(config.data.train),
            subset=config.data.subset and named(config.data.subset),
            tests=(),  # a set that is added is judged then
            on_bad_file="refuse",
        ),
        network=replace(config.network, weights=config.network.weights and named(config.network.weights)),
        budget=replace(budget, total=budget.start, earlier=()),
    )
    return hashlib.sha256(config_file.to_yaml(base).encode()).hexdigest()[:10]


def named(path: str) -> str:
    """The last part of a path or URI: files may be moved, and `require_same_files` looks at them."""
    return stores.split(path)[1]


def require_same_files(campaigns: Iterable[tuple[CampaignFolder, Config]]) -> None:
    """Look at images, masks, weights and subsets that campaigns began with at other places.

    Args:
        campaigns: each with its configuration as it is now.

    Raises:
        CampaignError, DataError: they are others, or are not there.
    """
    seen: set[tuple[object, ...]] = set()
    for campaign, now in campaigns:
        if not (campaign.root.exists(MANIFEST) and campaign.root.exists(CONFIG)):
            continue
        before = config_file.kept(campaign.root, CONFIG, Config)
        places = tuple(
            (one.data.train, one.data.subset, one.data.tests, one.network.weights) for one in (before, now)
        )
        if places[0] != places[1] and places not in seen:
            seen.add(places)
            admit(campaign, before, replace(now, budget=before.budget))


def name_of_unit(config: Config, source: Source | None = None) -> str:
    """The name of the folder of a campaign, or of what is trained on the points of one."""
    if source is not None:
        of = f"{digest_of(config)} {digest_of(source.config)} {source.config.budget.total}"
        kind = "finished" if source.finished else "given"
        return f"{kind}-{hashlib.sha256(of.encode()).hexdigest()[:10]}-{config.seed}"
    kind = "full" if not config.asks else config.query.method.replace(":", ".")
    return f"{kind}-{digest_of(config)}-{config.seed}"


def units_of(arms: Iterable[Arm], seeds: Iterable[int]) -> dict[str, Unit]:
    """The campaigns of arms, and those whose points arms are given, each once, by name."""
    found: dict[str, Unit] = {}
    for arm in arms:
        for seed in seeds:
            unit = unit_of(arm, seed)
            chosen = [unit_of(Arm("", unit.source.config), seed)] if unit.source else []
            for one in (unit, *chosen):
                known = found.get(one.name)
                if known is None or known.config.budget.total < one.config.budget.total:
                    found[one.name] = one
    return dict(sorted(found.items()))


def unit_of(arm: Arm, seed: int) -> Unit:
    """The unit of an arm for a seed."""
    config, source = replace(arm.config, seed=seed), arm.source
    if source is not None:
        source = replace(source, config=replace(source.config, seed=seed))
    return Unit(name_of_unit(config, source), config, source)


def jobs_of(root: Folder, units: Mapping[str, Unit]) -> Jobs:
    """The campaigns to run that need no other, and the first rounds that several share.

    A first round that a campaign of an earlier call has trained is taken from there.
    """
    units = {name: unit for name, unit in units.items() if unit.source is None}
    firsts = {name: config_file.to_yaml(until_first_query(unit.config)) for name, unit in units.items()}
    there = {
        firsts[name]: CampaignFolder(root / UNITS / name)
        for name in reversed(list(units))
        if (root / UNITS / name / "round-00").exists(METRICS)
    }
    shared: dict[str, TrialJob] = {}
    trials = []
    for name, unit in units.items():
        config = placed(root, grown(root, unit))
        first = firsts[name]
        several = list(firsts.values()).count(first) > 1 and unit.config.asks
        if several and first not in there and first not in shared:
            key = f"{hashlib.sha256(first.encode()).hexdigest()[:10]}-{config.seed}"
            folder = CampaignFolder(root / FIRST / key)
            shared[first] = TrialJob(f"first-{key}", until_first_query(config), folder, {"first_of": name})
        own = CampaignFolder(root / UNITS / name)
        source = there.get(first) or (shared[first].campaign if first in shared else None)
        source = None if source is not None and source.root.uri == own.root.uri else source
        trials.append(TrialJob(name, config, own, {"unit": name}, source))
    return Jobs(list(shared.values()), trials)


def placed(root: Folder, config: Config) -> Config:
    """A configuration with what all units have: one place for superpixels, and scores of test images."""
    superpixels = config.resources.superpixels or (root / "superpixels").uri
    return replace(
        config,
        resources=replace(config.resources, superpixels=superpixels),
        report=replace(config.report, image_scores=True),
    )


def grown(root: Folder, unit: Unit) -> Config:
    """The configuration of a unit, as far as its folder goes already: another study may have wanted more."""
    folder = root / UNITS / unit.name
    if not (folder.exists(CONFIG) and folder.exists(MANIFEST)):
        return unit.config
    total = config_file.kept(folder, CONFIG, type(unit.config)).budget.total
    budget = unit.config.budget
    return replace(unit.config, budget=replace(budget, total=max(total, budget.total)))


def passes_of(units: Mapping[str, Unit]) -> int:
    """Image passes of training that campaigns take together, a shared first round counted once; per image."""
    firsts = {
        name: name if unit.source else config_file.to_yaml(until_first_query(unit.config))
        for name, unit in units.items()
    }
    total = 0
    for first in set(firsts.values()):
        mine = [unit for name, unit in units.items() if firsts[name] == first]
        epochs = mine[0].config.train.epochs
        total += epochs * (1 + sum(unit.rounds - 1 for unit in mine))
    return total
