"""Points counted some images at a time are those counted one by one."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from atal_ray.campaign import campaign_folder
from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, CampaignFolder
from atal_ray.config import Config
from atal_ray.data.record import MANIFEST_SCHEMA
from atal_ray.labels.points import POINT_SCHEMA
from atal_ray.report.point_counts import PointCounts, bins_for, count_points, density
from atal_ray.store.folder import Folder

Make = Callable[..., tuple[CampaignFolder, Config]]
ROUNDS = 3


@pytest.fixture
def many(tmp_path: Any, make: Make, monkeypatch: pytest.MonkeyPatch) -> CampaignFolder:
    """Forty images of other sizes, none to six points of each in three rounds; seven are read at a time."""
    monkeypatch.setattr(campaign_folder, "CHUNK", 7)
    campaign, random = CampaignFolder(Folder(str(tmp_path / "many"))), np.random.default_rng(0)
    like = make(rounds=0)[0].root.read_table(MANIFEST).slice(0, 1).to_pylist()[0]
    images = [
        {**like, "image_id": f"image-{number:02d}", "height": 20 + number, "width": 90 - number}
        for number in range(40)
    ]
    campaign.root.write_table(MANIFEST, pa.Table.from_pylist(images, MANIFEST_SCHEMA))
    for number in range(ROUNDS):
        rows = [
            {
                "image_id": image["image_id"],
                "x": int(random.integers(image["width"])),
                "y": int(random.integers(image["height"])),
                "label": int(random.choice([0, 1, 255])),
                "round": number,
                "order": order,
                "score": 0.0,
                "superpixel": -1,
                "source": "seed",
            }
            for image in images
            for order in range(random.integers(3) if number else 2)
        ]
        campaign.round(number).write_table(POINTS, pa.Table.from_pylist(rows, POINT_SCHEMA))
    return campaign


def test_counts_equal_the_loop(many: CampaignFolder) -> None:
    images = {row["image_id"]: row for row in many.root.read_table(MANIFEST).to_pylist()}
    found, together = count_points(many, ROUNDS)
    rows = [many.round(number).read_table(POINTS).to_pylist() for number in range(ROUNDS)]
    asked = sum(map(len, rows[1:]))
    for number, (points, counts) in enumerate(zip(rows, found, strict=True)):
        assert counts.total == len(points)
        assert counts.labels == Counter(point["label"] for point in points)
        of_image = Counter(point["image_id"] for point in points)
        each = [of_image[image_id] for image_id in images]
        assert counts.images_with.tolist() == np.bincount(each).tolist()
        assert counts.span == (min(each), max(each))
        bins = bins_for(asked if number else len(points))
        cells = np.zeros((bins, bins))
        for point in points:
            image = images[point["image_id"]]
            row = int((point["y"] + 0.5) / image["height"] * bins)
            cells[row, int((point["x"] + 0.5) / image["width"] * bins)] += 1
        assert counts.cells.tolist() == cells.tolist()
    all_of_image = Counter(point["image_id"] for points in rows for point in points)
    assert together.tolist() == np.bincount([all_of_image[image_id] for image_id in images]).tolist()


def test_density_of_an_even_spread_is_one_on_average(many: CampaignFolder) -> None:
    found, _ = count_points(many, ROUNDS)
    assert density([found[0].cells]).mean() == pytest.approx(1)
    assert density([counts.cells for counts in found[1:]]).mean() == pytest.approx(1)


def test_more_points_are_counted_in_more_cells() -> None:
    assert [bins_for(points) for points in (0, 1, 50, 4000)] == [2, 2, 4, 24]


def test_nothing_is_zero() -> None:
    counts = PointCounts.of(2)
    assert (density([counts.cells]) == 0).all()
    assert (counts.total, counts.span) == (0, (0, 0))
