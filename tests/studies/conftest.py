from collections.abc import Iterator

import pytest
from plain_reports import plain_reports


@pytest.fixture(scope="module", autouse=True)
def quick_reports() -> Iterator[None]:
    """Reports without charts."""
    with plain_reports():
        yield
