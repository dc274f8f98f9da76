"""A round again, image by image and by pure functions alone: what the stages of a campaign must give."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from atal_ray import networks, seeding
from atal_ray.acquisition.attack import pgd
from atal_ray.acquisition.dataset_budget.allocation import Covers, allocate
from atal_ray.acquisition.dataset_budget.similarity import LabelledFeatures
from atal_ray.acquisition.grid import original_pixels
from atal_ray.acquisition.pick import Pick, PixelPool, RankedCover, pick_diverse, pick_random, rank_diverse
from atal_ray.acquisition.rds import cover_kcenter, unit_vectors
from atal_ray.acquisition.uncertainty import REGION_NAMES, difference, region_kind
from atal_ray.config import Config
from atal_ray.data.images import read_image, resize
from atal_ray.data.record import Record, records
from atal_ray.labels.points import PointIndex
from atal_ray.labels.regions import covered
from atal_ray.labels.superpixel_cache import SuperpixelCache
from atal_ray.networks.inputs import to_batch
from atal_ray.networks.protocol import SaliencyNetwork, SaliencyOutput
from atal_ray.training.loop import train_round
from atal_ray.training.samples import Samples

CPU = torch.device("cpu")
START = -1  # the round number in the random numbers of the first, random points
Row = dict[str, Any]
State = dict[str, Tensor]


@dataclass(frozen=True)
class Maps:
    """What the snapshots say about one image."""

    score: npt.NDArray[np.float32]
    kinds: npt.NDArray[np.uint8]
    features: npt.NDArray[np.float32]


@dataclass(frozen=True)
class NaiveRound:
    """The stages of one campaign, without its folder: every method takes all that it depends on."""

    config: Config
    manifest: pa.Table
    folder: Path
    """Of the images."""
    superpixels: SuperpixelCache

    def first_points(self) -> list[Row]:
        """The random questions before any network."""
        rows: list[Row] = []
        for record in records(self.manifest, self.folder):
            pool = self._pool(record, np.empty((0, 2), np.int32))
            rng = seeding.rng(self.config.seed, "query", START, record.image_id)
            rows += _questions(record, pool, pick_random(pool, self.config.budget.start, rng), None, START)
        return rows

    def train(self, points: pa.Table, number: int, before: State | None) -> list[State]:
        """The snapshots of a round that trains on these points; `before`: the last snapshot before it."""
        torch.manual_seed(seeding.derive(self.config.seed, "weights") % 2**63)
        network = networks.build(self.config.network)
        if self.config.train.warm_start and before is not None:
            network.load_state_dict(before)
        index = PointIndex(points)
        samples = Samples(self.manifest, index, self.superpixels, self.folder, self.config, number)
        states: list[State] = []
        train_round(
            network,
            samples,
            self.config,
            on_snapshot=lambda _, state: states.append({k: v.clone() for k, v in state.network.items()}),
        )
        return states

    def query(self, members: Sequence[SaliencyNetwork], points: pa.Table, number: int) -> list[Row]:
        """The questions of a round, `budget.per_round` for each image or, by need, on average."""
        whole = self.config.query.scope == "dataset"
        index, rows, ranked, pools = PointIndex(points), [], [], []
        for record in records(self.manifest, self.folder):
            xy, labels = index.of(record.image_id)
            pool, maps = self._pool(record, xy), self._maps(members, record, xy, labels)
            rng = seeding.rng(self.config.seed, "query", number, record.image_id)
            arguments = (pool, maps.score, maps.features)
            if whole:
                cover = rank_diverse(*arguments, self.config.query.ceiling, self.config.query, rng)
                ranked.append(cover)
                pools.append((record, pool, cover.pick, maps))
            else:
                pick = pick_diverse(*arguments, self.config.budget.per_round, self.config.query, rng)
                rows += _questions(record, pool, pick, maps, number)
        if whole:
            found = [_questions(*image, number) for image in pools]
            rows = self._by_need(found, ranked, number)
        return rows

    def _by_need(self, found: list[list[Row]], ranked: list[RankedCover], number: int) -> list[Row]:
        """One budget for all images: Algorithm 1 and Eq. 10 over all covers at once."""
        questions = [row for rows in found for row in rows]
        labelled = LabelledFeatures(self.config.query.similarity, "numpy")
        for image in ranked:
            labelled.add(unit_vectors(image.labelled).astype(np.float32))
        vectors = unit_vectors(np.concatenate([image.features for image in ranked])).astype(np.float32)
        covers = Covers(
            np.repeat(np.arange(len(found), dtype=np.int32), [len(rows) for rows in found]),
            np.array([row["score"] for row in questions], np.float32),
            np.array([row["superpixel"] for row in questions], np.int32),
            lambda rows: vectors[rows],
        )
        chosen = allocate(
            covers,
            self.config.budget.per_round * len(found),
            self.config.query,
            cover=lambda positions, m, _: cover_kcenter(positions, m),
            labelled=labelled,
            tie=seeding.rng(self.config.seed, "allocation", number).random(len(questions), np.float32),
        )
        rows, orders = [], dict.fromkeys((row["image_id"] for row in questions), 0)
        for candidate in chosen:
            row = questions[candidate]
            rows.append({**row, "order": orders[row["image_id"]]})
            orders[row["image_id"]] += 1
        return rows

    def _pool(self, record: Record, xy: npt.NDArray[np.int32]) -> PixelPool:
        """Which pixels of an image may be asked for, and their superpixels."""
        size, shape = self.config.train.size, (record.height, record.width)
        superpixels = self.superpixels.get(record)
        bought = covered(superpixels, xy, shape)
        grid = original_pixels(size, *shape)
        free, on_grid = np.zeros((size, size), bool), np.full((size, size), -1, np.int32)
        for cell_row, row in zip(grid.cell_rows, grid.rows, strict=True):
            free[cell_row, grid.cell_columns] = ~bought[row, grid.columns]
            on_grid[cell_row, grid.cell_columns] = superpixels[row, grid.columns]
        return PixelPool(*shape, free, on_grid, xy)

    def _maps(
        self,
        members: Sequence[SaliencyNetwork],
        record: Record,
        xy: npt.NDArray[np.int32],
        labels: npt.NDArray[np.uint8],
    ) -> Maps:
        """Attack, mean of all snapshots on the clean and the attacked image, Diff and kind of region."""
        attack, query = self.config.attack, self.config.query
        image = self._batch(record.image)
        target, weight = None, None
        if attack.labels == "points":
            target, weight = _points_on_grid(record, xy, labels, self.config.train.size)

        def logits_of(x: Tensor) -> Tensor:
            if attack.model == "last":
                output: SaliencyOutput = members[-1](members[-1].normalise(x))
                return output.logits[members[-1].prediction]
            return torch.logit(_mean(member.saliency(x)[0] for member in members), 1e-6)

        attacked = pgd(
            image,
            logits_of,
            target,
            epsilon=attack.epsilon,
            alpha=attack.alpha,
            steps=attack.steps,
            weight=weight,
        )
        with torch.no_grad():
            p, p_adv = (
                _mean(member.saliency(x)[0] for member in members)[0, 0].float().numpy()
                for x in (image, attacked)
            )
            features = members[-1].saliency(image)[1][0].float().numpy()
        return Maps(difference(p, p_adv, "flip-margin"), region_kind(p, p_adv, query.near_boundary), features)

    @torch.no_grad()
    def saliency(
        self, members: Sequence[SaliencyNetwork], image: str, shape: tuple[int, int]
    ) -> dict[str, npt.NDArray[np.uint8]]:
        """The 8-bit saliency maps of a test image: of the mean of all snapshots, and of the last one."""
        x, maps = self._batch(image), []
        for member in members:
            logits = member(member.normalise(x)).logits[member.prediction].float()
            maps.append(torch.sigmoid(interpolate(logits, shape, mode="bilinear", align_corners=False))[0, 0])
        found = {"ensemble": torch.stack(maps).mean(0), "last": maps[-1]}
        return {who: np.rint(values.numpy() * 255).astype(np.uint8) for who, values in found.items()}

    def _batch(self, image: str) -> Tensor:
        return to_batch(resize(read_image(image), self.config.train.size)[None], CPU)


def read_members(
    files: Iterable[Path],
    config: Config,
    form: Callable[[Sequence[SaliencyNetwork]], Sequence[SaliencyNetwork]],
) -> Sequence[SaliencyNetwork]:
    """The snapshots in files, frozen and in evaluation mode, in a form that gives the same answers."""
    members: list[SaliencyNetwork] = []
    for file in files:
        network = networks.build(config.network)
        network.load_state_dict(torch.load(file, weights_only=True))
        members.append(network.eval().requires_grad_(False))
    return form(members)


def _mean(maps: Iterable[Tensor]) -> Tensor:
    """Eq. 6: the sum of the members' maps over their number, first to last."""
    first, *others = maps
    total = first
    for values in others:
        total = total + values
    return total / (1 + len(others))


def _points_on_grid(
    record: Record, xy: npt.NDArray[np.int32], labels: npt.NDArray[np.uint8], size: int
) -> tuple[Tensor, Tensor]:
    """Labels of the sure points at the cells whose centres are nearest, and which cells those are."""
    y, known = torch.zeros(1, 1, size, size), torch.zeros(1, 1, size, size)
    for (column, row), label in zip(xy.tolist(), labels.tolist(), strict=True):
        if label != 255:
            across = round((column + 0.5) * size / record.width - 0.5)
            down = round((row + 0.5) * size / record.height - 0.5)
            y[0, 0, min(max(down, 0), size - 1), min(max(across, 0), size - 1)] = label
            known[0, 0, min(max(down, 0), size - 1), min(max(across, 0), size - 1)] = 1
    return y, known


def _questions(record: Record, pool: PixelPool, pick: Pick, maps: Maps | None, number: int) -> list[Row]:
    """Rows of queries.parquet in the order of picking."""
    rows = []
    for order, (x, y) in enumerate(pick.xy.tolist()):
        cell = int(pick.cells[0][order]), int(pick.cells[1][order])
        row: Row = {"image_id": record.image_id, "x": x, "y": y, "round": number + 1, "order": order}
        row["score"] = 0.0 if maps is None else float(maps.score[cell])
        row["superpixel"] = int(pool.superpixels[cell])
        row["region"] = "random" if maps is None else REGION_NAMES[maps.kinds[cell]]
        rows.append(row)
    return rows
