from collections.abc import Iterator

import pytest

from atal_ray.report import curves, overlays


@pytest.fixture(scope="module", autouse=True)
def plain_reports() -> Iterator[None]:
    """Campaign reports without charts and with small pictures: in full they take most of the time of
    a small campaign.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlays, "_LONGEST", 60)
        patch.setattr(curves, "chart", lambda draw, **size: "data:,")
        yield
