"""Reports of campaigns for tests of something else."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def plain_reports() -> Iterator[None]:
    """No charts and small pictures: in full they take most of the time of a small campaign."""
    from atal_ray.report import curves, picture_size

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_size, "_LONGEST", 60)
        patch.setattr(curves, "chart", lambda draw, **size: "data:,")
        yield
