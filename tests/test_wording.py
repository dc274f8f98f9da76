import shlex

import pytest

from atal_ray.errors import command, counted, meant


@pytest.mark.parametrize(("number", "said"), [(0, "0 images"), (1, "1 image"), (2000, "2,000 images")])
def test_a_noun_agrees_with_its_number(number: int, said: str) -> None:
    assert counted(number, "image") == said


def test_other_plurals_are_given() -> None:
    assert [counted(n, "key is", "keys are") for n in (1, 2)] == ["1 key is", "2 keys are"]


def test_a_command_can_be_copied_into_a_shell() -> None:
    where = "my runs/it's $HOME"
    said = command("resume", where)
    assert said[0] == said[-1] == "`"
    assert shlex.split(said[1:-1]) == ["atal", "resume", where]
    assert command("data", "check", "images") == "`atal data check images`"


def test_what_was_meant_is_only_guessed_where_something_is_near() -> None:
    assert meant("wokers", ["threads", "workers"]) == ", did you mean workers?"
    assert meant("x", ["threads", "workers"]) == ""
