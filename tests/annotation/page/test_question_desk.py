"""Every question is asked, of one person at a time, and nothing that was said is lost."""

from pathlib import Path

import pyarrow as pa
import pytest

from atal_ray.annotation.page.answer_log import AnswerLog
from atal_ray.annotation.page.answers_of_people import paces
from atal_ray.annotation.page.question_desk import QuestionDesk, RoundClosed
from atal_ray.annotation.page.review_list import review_list
from atal_ray.errors import CampaignError, DataError


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def desk(path: Path, clock: Clock, count: int = 10, **options: object) -> QuestionDesk:
    settings = {"answered": [], "batch": 3, "away": 60.0, **options}
    return QuestionDesk(count, log=AnswerLog(path / "log", "digest"), now=clock, **settings)


def test_people_get_different_questions_in_their_order(tmp_path: Path, clock: Clock) -> None:
    mine = desk(tmp_path, clock)
    assert mine.ahead("ann") == [0, 1, 2]
    assert mine.ahead("bob") == [3, 4, 5]
    assert mine.ahead("ann") == [0, 1, 2], "until they are answered"
    mine.answer("ann", 0, 1, 800)
    assert mine.ahead("ann") == [1, 2, 6]


def test_all_are_asked_once_and_then_nothing_is_left(tmp_path: Path, clock: Clock) -> None:
    mine, asked = desk(tmp_path, clock, answered=[4]), []
    while ahead := mine.ahead("ann"):
        asked.append(ahead[0])
        mine.answer("ann", ahead[0], ahead[0] % 2, 10)
    assert asked == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert mine.answered() == 10
    assert mine.labels() == {number: number % 2 for number in asked}


def test_back_takes_back_without_limit_and_asks_again(tmp_path: Path, clock: Clock) -> None:
    mine = desk(tmp_path, clock)
    for number in range(5):
        mine.answer("ann", mine.ahead("ann")[0], 1, number)
    assert [mine.back("ann") for _ in range(6)] == [4, 3, 2, 1, 0, None]
    assert mine.labels() == {}
    assert mine.ahead("ann")[:3] == [0, 1, 2]
    mine.answer("ann", 0, 0, 5)
    assert mine.labels() == {0: 0}


def test_what_is_skipped_comes_back_last(tmp_path: Path, clock: Clock) -> None:
    mine, asked = desk(tmp_path, clock, count=4), []
    mine.skip("ann", mine.ahead("ann")[0])
    while ahead := mine.ahead("ann"):
        asked.append(ahead[0])
        mine.answer("ann", ahead[0], 1, 1)
    assert asked == [1, 2, 3, 0]


def test_a_page_that_asks_again_and_again_keeps_nothing_without_a_key(tmp_path: Path, clock: Clock) -> None:
    mine = desk(tmp_path, clock)
    for _ in range(13):
        assert mine.ahead("ann") == [0, 1, 2]
        clock.time += 5
    assert mine.ahead("bob") == [0, 1, 2], "after a minute"
    assert mine.ahead("ann") == [3, 4, 5]


def test_an_answer_that_is_not_written_is_not_taken_back_either(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = desk(tmp_path, clock)
    mine.answer("ann", mine.ahead("ann")[0], 1, 10)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(CampaignError, match="cannot be written"):
            mine.back("ann")
    assert mine.labels() == {0: 1}
    assert mine.back("ann") == 0
    assert mine.labels() == {}


def test_questions_of_people_who_went_away_are_asked_of_others(tmp_path: Path, clock: Clock) -> None:
    mine = desk(tmp_path, clock, count=4)
    mine.skip("ann", mine.ahead("ann")[0])
    clock.time += 61
    asked = []
    while ahead := mine.ahead("bob"):
        asked.append(ahead[0])
        mine.answer("bob", ahead[0], 0, 1)
    assert sorted(asked) == [0, 1, 2, 3]
    with pytest.raises(DataError, match="question 1 was not asked of ann, or was lent to somebody else"):
        mine.answer("ann", 1, 1, 5)


def test_an_answer_may_be_corrected_and_the_same_one_is_one(tmp_path: Path, clock: Clock) -> None:
    mine = desk(tmp_path, clock)
    mine.ahead("ann")
    for label in (1, 1, 0):
        mine.answer("ann", 0, label, 5)
    assert [entry.label for entry in mine.log.entries] == [1, 0]
    assert mine.labels() == {0: 0}
    assert mine.back("ann") == 0
    with pytest.raises(DataError, match="was not asked of bob"):
        mine.answer("bob", 0, 1, 5)


def test_some_questions_are_asked_of_two_people_and_never_of_one_twice(tmp_path: Path, clock: Clock) -> None:
    mine = desk(tmp_path, clock, count=40, shared=0.5)
    for who in ("ann", "bob", "eve"):
        while ahead := mine.ahead(who):
            mine.answer(who, ahead[0], 1, 1)
    twice = [number for number, said in mine.said.items() if len(said) == 2]
    assert 10 < len(twice) < 30
    assert all(set(mine.said[number]) == {"ann", "bob"} for number in twice)
    assert mine.answered() == 40
    mine.back("bob")
    assert len([said for said in mine.said.values() if len(said) == 2]) == len(twice) - 1


def test_a_desk_goes_on_where_its_log_ends(tmp_path: Path, clock: Clock) -> None:
    mine = desk(tmp_path, clock, shared=0.3)
    for who in ("ann", "bob"):
        for _ in range(3):
            mine.answer(who, mine.ahead(who)[0], 1, 1)
    mine.back("bob")
    again = desk(tmp_path, clock, shared=0.3)
    assert again.said == mine.said
    assert again.labels() == mine.labels()
    assert again.back("ann") == mine.back("ann"), "of earlier answers too"
    left = set()
    while ahead := again.ahead("eve"):
        left.add(ahead[0])
        again.answer("eve", ahead[0], 0, 1)
    assert left >= set(range(10)) - set(mine.said) - {2}
    assert again.answered() >= 9


def test_only_own_questions_may_be_seen(tmp_path: Path, clock: Clock) -> None:
    mine = desk(tmp_path, clock)
    assert not mine.may_see("ann", 0)
    mine.ahead("ann")
    assert mine.may_see("ann", 0)
    assert not mine.may_see("bob", 0)
    mine.answer("ann", 0, 1, 1)
    assert mine.may_see("ann", 0)


def test_control_points_are_mixed_in_and_are_no_answers(tmp_path: Path, clock: Clock) -> None:
    controls = {20: 1, 21: 0}
    mine = desk(tmp_path, clock, count=20, batch=5, controls=controls, control_share=0.2)
    asked = []
    while ahead := mine.ahead("ann"):
        asked.append(ahead[0])
        mine.answer("ann", ahead[0], 1, 10)
    assert sorted(asked) == list(range(22)), "each once, and no more than there are"
    assert asked[-2:] != [20, 21]
    assert mine.answered() == 20
    assert set(mine.labels()) == set(range(20))
    found = paces(mine.said, controls)["ann"]
    assert (found.answers, found.controls, found.right) == (20, 2, 1)
    assert 20 in mine.ahead("bob", 99) or not mine.ahead("bob"), "others are asked them too"
    again = desk(tmp_path, clock, count=20, controls=controls, control_share=0.2)
    assert again.answered() == 20


def test_few_controls_are_asked_of_each(tmp_path: Path, clock: Clock) -> None:
    controls = {100 + number: 1 for number in range(50)}
    mine = desk(tmp_path, clock, count=100, batch=8, controls=controls, control_share=0.05)
    asked = []
    while ahead := mine.ahead("ann"):
        asked.append(ahead[0])
        mine.answer("ann", ahead[0], 1, 10)
    assert len([number for number in asked if number >= 100]) == 5


def test_a_review_goes_before_what_was_answered(tmp_path: Path, clock: Clock) -> None:
    mine = desk(tmp_path, clock, count=3, shared=1.0)
    for who, label in (("ann", 1), ("bob", 0)):
        while ahead := mine.ahead(who):
            mine.answer(who, ahead[0], label, 10)
    assert mine.labels() == {0: 255, 1: 255, 2: 255}
    questions = pa.table({"score": [0.1, 0.3, 0.2]})
    assert review_list(mine, questions, "disputed", "image") == [0, 1, 2]
    assert review_list(mine, questions, "disputed", "doubt") == [1, 2, 0]
    mine.review("eve", 1, 1)
    assert mine.labels() == {0: 255, 1: 1, 2: 255}
    assert review_list(mine, questions, "disputed", "image") == [0, 2]
    assert review_list(mine, questions, "foreground", "image") == [1]
    assert review_list(mine, questions, "background", "doubt") == []
    assert paces(mine.said).keys() == {"ann", "bob"}, "a review is no answer"
    again = desk(tmp_path, clock, count=3, shared=1.0)
    assert again.labels() == mine.labels()
    with pytest.raises(DataError, match="question 7 has no answer yet"):
        mine.review("eve", 7, 1)


def test_a_closed_desk_takes_nothing_more(tmp_path: Path, clock: Clock) -> None:
    mine = desk(tmp_path, clock)
    mine.answer("ann", mine.ahead("ann")[0], 1, 10)
    mine.close()
    for act in (
        lambda: mine.answer("ann", 1, 1, 10),
        lambda: mine.skip("ann", 1),
        lambda: mine.back("ann"),
        lambda: mine.review("ann", 0, 0),
    ):
        with pytest.raises(RoundClosed, match="has taken its answers"):
            act()
    assert mine.labels() == {0: 1}


def test_second_answers_are_asked_before_the_round_is_complete(tmp_path: Path, clock: Clock) -> None:
    mine = desk(tmp_path, clock, count=60, batch=4, shared=0.3)
    while mine.answered() < 60:
        for who in ("ann", "bob"):
            if ahead := mine.ahead(who):
                mine.answer(who, ahead[0], 1, 1)
    wanted = [number for number in range(60) if mine._shared[number]]
    twice = [number for number in wanted if len(mine.said[number]) == 2]
    assert len(twice) >= len(wanted) - 8, "all but those of the last batches"


def test_what_others_have_answered_and_the_log_too_counts_once(tmp_path: Path, clock: Clock) -> None:
    mine = desk(tmp_path, clock, count=4)
    for _ in range(2):
        mine.answer("ann", mine.ahead("ann")[0], 1, 1)
    again = desk(tmp_path, clock, count=4, answered=[0, 3])
    assert again.answered() == 3
    again.back("ann")
    assert again.answered() == 2
