"""How points lie, by the naive form of the same measure."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from atal_ray.campaign.campaign_folder import MANIFEST, POINTS, CampaignFolder
from atal_ray.data.record import MANIFEST_SCHEMA
from atal_ray.labels.points import POINT_SCHEMA
from atal_ray.store.folder import Folder
from atal_ray.studies.paper.places import COVERED, GRID, cover_radius, density_of, share_alone

PLACES = {"a": [(3, 4), (30, 10), (31, 12)], "b": [(0, 0), (47, 23)]}
SHAPES = {"a": (20, 40), "b": (24, 48)}
RAW = {"image_bytes": 1, "image_digest": bytes(16)}


@pytest.fixture
def campaign(tmp_path: Path) -> CampaignFolder:
    found = CampaignFolder(Folder(str(tmp_path)))
    rows = [
        {
            "image_id": name,
            "image": name,
            "height": h,
            "width": w,
            "image_bytes": 1,
            "image_digest": bytes(16),
        }
        for name, (h, w) in SHAPES.items()
    ]
    found.root.write_table(MANIFEST, pa.Table.from_pylist(rows, MANIFEST_SCHEMA))
    points = [
        {**dict.fromkeys(POINT_SCHEMA.names, 0), "image_id": name, "x": x, "y": y, "order": order}
        for name, places in PLACES.items()
        for order, (x, y) in enumerate(places)
    ]
    schema = pa.schema([field.with_nullable(True) for field in POINT_SCHEMA])
    known = {field.name for field in POINT_SCHEMA if pa.types.is_string(field.type)} - {"image_id"}
    rows = [{**row, **dict.fromkeys(known, "")} for row in points]
    found.round(0).write_table(POINTS, pa.Table.from_pylist(rows, schema).cast(POINT_SCHEMA))
    return found


def test_cover_radius_is_the_farthest_place_from_its_nearest_point(campaign: CampaignFolder) -> None:
    radii = []
    for name, (height, width) in SHAPES.items():
        farthest = 0.0
        for row in range(COVERED):
            for column in range(COVERED):
                y, x = (row + 0.5) / COVERED * height, (column + 0.5) / COVERED * width
                nearest = min(math.hypot(x - px - 0.5, y - py - 0.5) for px, py in PLACES[name])
                farthest = max(farthest, nearest)
        radii.append(farthest / math.hypot(height, width))
    assert cover_radius(campaign, 0) == pytest.approx(sum(radii) / 2, rel=1e-9)


def test_two_of_five_points_have_another_near(campaign: CampaignFolder) -> None:
    assert share_alone(campaign, 0) == pytest.approx(3 / 5)


def test_density_counts_points_of_several_campaigns_by_relative_place(campaign: CampaignFolder) -> None:
    wanted = np.zeros((GRID, GRID))
    for name, places in PLACES.items():
        height, width = SHAPES[name]
        for x, y in places:
            wanted[int((y + 0.5) / height * GRID), int((x + 0.5) / width * GRID)] += 2
    found = density_of([(campaign, 0), (campaign, 0)])
    np.testing.assert_allclose(found, wanted * GRID**2 / 10)
    assert found.mean() == pytest.approx(1)
