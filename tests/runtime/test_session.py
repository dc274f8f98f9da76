"""A Ray that does not start is a sentence."""

import pytest
import ray

from atal_ray.errors import CampaignError
from atal_ray.runtime.session import session


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (None, "^Ray did not start: the node timed out. Run the same command again"),
        ("10.0.0.1:6379", "^no Ray answers at 10.0.0.1:6379, which RAY_ADDRESS names: the node timed out. "),
    ],
)
def test_a_ray_that_does_not_start_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, address: str | None, sentence: str
) -> None:
    def fails(**_: object) -> None:
        raise Exception("the node timed out.\nmore of it")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(CampaignError, match=sentence), session("ray", 1, 100):
        pass
