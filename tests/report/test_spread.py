from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from atal_ray.campaign.campaign_folder import POINTS, CampaignFolder
from atal_ray.config import Config, QueryConfig
from atal_ray.labels.points import POINT_SCHEMA
from atal_ray.report import spread
from atal_ray.report.numbers import Numbers, read_numbers
from atal_ray.report.page import write_report
from atal_ray.report.tables import answers_table

Make = Callable[..., tuple[CampaignFolder, Config]]


def uneven(make: Make) -> Numbers:
    """Round 1 asked three points of the second image and one of the last."""
    campaign, config = make()
    rows = campaign.round(1).read_table(POINTS).to_pylist()
    moved = [*({**rows[1], "order": order, "x": 18 + 2 * order} for order in range(3)), rows[3]]
    campaign.round(1).write_table(POINTS, pa.Table.from_pylist(moved, POINT_SCHEMA))
    campaign.commit(1)
    return read_numbers(campaign, config)


def test_table_tells_fewest_and_most(make: Make) -> None:
    table = answers_table(uneven(make))
    column = table.columns.index("new an image")
    assert [row[column].text for row in table.rows] == ["2", "0 to 3"]


def test_chart_shows_images_over_points(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Figure()
    monkeypatch.setattr(spread, "chart", lambda draw: draw(figure))
    spread.spread_chart(uneven(make))
    (line,), bars = figure.axes[0].lines, figure.axes[1].patches
    heights = [bar.get_height() for bar in bars if isinstance(bar, Rectangle)]
    assert np.asarray(line.get_ydata()).tolist() == [2, 1, 0, 1]
    assert heights == [0, 0, 2, 1, 0, 1]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("scope", ["image", "dataset"])
def test_page_shows_it_for_one_budget_alone(make: Make, scope: Any) -> None:
    campaign, config = make()
    write_report(campaign, replace(config, query=QueryConfig(top_percent=10, scope=scope)))
    assert ("images over the points that each has" in campaign.root.read_bytes("report.html").decode()) == (
        scope == "dataset"
    )
