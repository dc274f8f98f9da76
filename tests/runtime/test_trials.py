"""Why a trial failed is one sentence, whatever Ray Tune has left of it."""

import pytest

from atal_ray.errors import AtalError, CampaignError, DataError
from atal_ray.runtime.trials import _error_of


class Trial:
    def __init__(self, error: object) -> None:
        self.error = error

    def get_error(self) -> object:
        return self.error


@pytest.mark.parametrize(
    ("left", "kind", "sentence"),
    [
        (
            "Traceback\n  File x\natal_ray.errors.DataError: a.jpg is cut short",
            DataError,
            "a.jpg is cut short",
        ),
        (DataError("a.jpg is cut short"), DataError, "a.jpg is cut short"),
        (ValueError("no"), CampaignError, "trial one failed: ValueError: no"),
        ("Traceback\nValueError: no", CampaignError, "trial one failed: RuntimeError: ValueError: no"),
        (None, CampaignError, "its machine vanished"),
    ],
)
def test_what_is_left_of_a_failure(left: object, kind: type[AtalError], sentence: str) -> None:
    found = _error_of(Trial(left), "one")
    assert (type(found), str(found)) == (kind, sentence)
