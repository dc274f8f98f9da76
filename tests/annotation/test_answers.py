"""Answers of people: kept in parts, matched with the questions, refused by row."""

import time
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from atal_ray.annotation.answers import (
    answered_elsewhere,
    answered_so_far,
    are_answered,
    corrected,
    forget_parts,
    from_people,
)
from atal_ray.annotation.given_answers import ANSWERED, OPEN
from atal_ray.config import AnnotationConfig
from atal_ray.errors import DataError, WaitingError
from atal_ray.labels.points import POINT_SCHEMA, QUERY_SCHEMA
from atal_ray.store.folder import Folder

HEAD = "image_id,x,y,label\n"
WORDS = {0: "background", 1: "foreground", 255: "unsure"}


def questions(count):
    rows = [
        {"image_id": f"00{n // 2}", "x": n, "y": 2 * n, "round": 0, "order": n % 2, "score": 0.5}
        | {"superpixel": n, "region": "SR"}
        for n in range(count)
    ]
    return pa.Table.from_pylist(rows, QUERY_SCHEMA)


def lines(asked, labels):
    pixels = asked.select(["image_id", "x", "y"]).to_pylist()
    return [
        f"{row['image_id']},{row['x']},{row['y']},{WORDS[label]}\n"
        for row, label in zip(pixels, labels, strict=True)
        if label is not None
    ]


@pytest.fixture
def out(tmp_path):
    return Folder(str(tmp_path / "round-00"))


def leave(out, rows, name="answers.csv"):
    out.write_bytes(name, (HEAD + "".join(rows)).encode())


def test_the_folder_and_a_form_are_there_before_the_first_answer(out):
    asked = questions(3)
    with pytest.raises(WaitingError, match=r"seed holds 3 questions, 0 of them answered.*questions\.csv"):
        from_people(asked, out, "seed")
    assert out.read_bytes(OPEN).decode() == f"{HEAD}000,0,0,\n000,1,2,\n001,2,4,\n"
    assert not out.exists(ANSWERED)


def test_a_form_that_is_filled_in_is_a_table_of_answers(out):
    asked = questions(2)
    with pytest.raises(WaitingError):
        from_people(asked, out, "seed")
    form = out.read_bytes(OPEN).decode()
    out.write_bytes("answers.csv", form.replace(",\n", ",foreground\n").encode())
    assert from_people(asked, out, "seed")["label"].to_pylist() == [1, 1]


def test_labels_that_are_written_into_the_form_itself_are_taken(out):
    asked = questions(4)
    with pytest.raises(WaitingError):
        from_people(asked, out, "seed")
    form = out.read_bytes(OPEN).decode()
    out.write_bytes(OPEN, form.replace("000,1,2,", "000,1,2,unsure").replace("\n", "\r\n").encode())
    leave(out, lines(asked, [1, None, None, None]))
    with pytest.raises(WaitingError, match="4 questions, 2 of them answered"):
        from_people(asked, out, "seed")
    assert out.read_bytes(OPEN).decode() == f"{HEAD}001,2,4,\n001,3,6,\n"
    out.write_bytes(OPEN, (HEAD.replace(",", ";") + "001;2;4;0\n001;3;6;fish\n").encode())
    with pytest.raises(DataError, match=r"questions\.csv: 1 value cannot be used.*\n  line 3, column label"):
        from_people(asked, out, "seed")
    assert b"fish" in out.read_bytes(OPEN)  # it is still there to be corrected
    out.write_bytes(OPEN, (HEAD.replace(",", ";") + "001;2;4;0\n001;3;6;0\n").encode())
    assert from_people(asked, out, "seed")["label"].to_pylist() == [1, 255, 0, 0]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_may_be_written_in_two_ways(out, form):
    name = unicodedata.normalize(form, "Bär über Fluß")
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", name)
    asked = questions(2).set_column(0, QUERY_SCHEMA.field("image_id"), pa.array([name, "plain"]))
    leave(out, [f"{other},0,0,1\n", "plain,1,2,0\n"])
    points = from_people(asked, out, "seed")
    assert points["label"].to_pylist() == [1, 0]
    assert points["image_id"].to_pylist() == [name, "plain"]


def test_a_part_is_kept_and_the_rest_asked_again(out):
    asked = questions(5)
    leave(out, lines(asked, [1, None, 0, None, None]))
    with pytest.raises(WaitingError, match="5 questions, 2 of them answered"):
        from_people(asked, out, "seed")
    assert out.read_bytes(OPEN).decode() == f"{HEAD}000,1,2,\n001,3,6,\n002,4,8,\n"
    leave(out, lines(asked, [None, 255, None, 1, 0]))  # the first table is gone
    points = from_people(asked, out, "seed")
    assert points.schema.equals(POINT_SCHEMA)
    assert points["label"].to_pylist() == [1, 255, 0, 1, 0]
    assert set(points["source"].to_pylist()) == {"human"}
    forget_parts(out)
    assert out.names() == ["answers.csv"]


def test_tables_of_several_forms_answer_together_and_a_later_answer_replaces_a_kept_one(out, caplog):
    asked = questions(3)
    leave(out, lines(asked, [1, 0, None]))
    with pytest.raises(WaitingError):
        from_people(asked, out, "seed")
    leave(out, lines(asked, [None, 1, None]))
    out.write_bytes("answers.json", b'{"image_id": "001", "x": 2, "y": 4, "label": "Unsure"}')
    assert from_people(asked, out, "seed")["label"].to_pylist() == [1, 1, 255]
    assert caplog.messages == [
        "1 answer that was kept is replaced by answers.csv and answers.json:\n"
        "  image 000, (1, 2): it was background, and is foreground"
    ]


def test_everything_that_is_wrong_with_all_tables_is_said_at_once(out):
    asked = questions(3)
    leave(out, ["000,0,0,fish\n", "dog,1,1,1\n", "000,1,2,0\n"])
    out.write_bytes("answers.json", b'[{"image_id": "000", "x": 1, "y": 2, "label": 1}]')
    with pytest.raises(DataError) as refused:
        from_people(asked, out, "seed")
    assert str(refused.value).splitlines()[:-1] == [
        f"{out.uri} (answers.csv, answers.json): 3 values cannot be used, so nothing of the table was taken:",
        "  answers.csv, line 2, column label: 'fish' is no label: write foreground, background or unsure (or "
        "1, 0, 255), or leave it empty to answer it later",
        "  answers.csv, line 3, column image_id: nothing was asked of image dog in this round: leave the row "
        "out",
        "  answers.json, row 0, column label: another answer to the same question than in answers.csv, line "
        "4",
    ]
    assert not out.exists(ANSWERED)


def test_a_table_may_be_named_in_capitals_and_one_of_another_name_is_pointed_out(out, caplog):
    asked = questions(2)
    leave(out, lines(asked, [1, 0]), "Answers (1).CSV")
    with pytest.raises(WaitingError):
        from_people(asked, out, "seed")
    assert caplog.messages == [
        f"{out.uri}/Answers (1).CSV is not read: name it answers.parquet or answers.csv or answers.json"
    ]
    out.write_bytes("Answers.CSV", out.read_bytes("Answers (1).CSV"))
    assert from_people(asked, out, "seed")["label"].to_pylist() == [1, 0]


def test_the_form_of_names_that_are_not_ascii_begins_with_the_mark_that_excel_looks_for(out):
    asked = questions(1).set_column(0, QUERY_SCHEMA.field("image_id"), pa.array(["Bär"]))
    with pytest.raises(WaitingError):
        from_people(asked, out, "seed")
    form = out.read_bytes(OPEN)
    assert form.startswith(b"\xef\xbb\xbfimage_id,")
    out.write_bytes(OPEN, form.replace(b",\n", b",1\n"))
    assert from_people(asked, out, "seed")["label"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            ["000,1,1,1\n"],
            r"line 2, columns x and y: \(1, 1\) was not asked of image 000, but \(0, 0\), \(1, 2\)",
        ),
        (
            ["000,0,0,1\n", "dog,1,1,1\n"],
            "line 3, column image_id: nothing was asked of image dog .*leave the row",
        ),
        (["1,2,4,0\n"], "line 2, column image_id: .* image 1 in this round; if it is 001, a spreadsheet has"),
        (
            ["000,0,0,1\n", "000,0,0,0\n"],
            "line 3, column label: another answer .* than in answers.csv, line 2",
        ),
    ],
)
def test_rows_that_answer_nothing_or_disagree_are_refused_and_nothing_is_taken(out, rows, sentence):
    asked = questions(4)
    leave(out, rows)
    with pytest.raises(DataError, match=rf"answers\.csv: 1 value(?s:.*){sentence}"):
        from_people(asked, out, "seed")
    assert out.names() == ["answers.csv"]


def test_two_tables_that_disagree_are_named(out):
    asked = questions(1)
    leave(out, ["000,0,0,1\n"])
    out.write_bytes("answers.json", b'[{"image_id": "000", "x": 0, "y": 0, "label": 0}]')
    with pytest.raises(
        DataError, match=r"answers\.json(?s:.*)row 0, column label: another .*answers\.csv, line 2"
    ):
        from_people(asked, out, "seed")


@examples
@given(st.lists(st.sampled_from([0, 1, 255]), min_size=1, max_size=12), st.data())
def test_any_parts_in_any_order_make_the_same_points(tmp_path_factory, labels, data):
    asked, out = questions(len(labels)), Folder(str(tmp_path_factory.mktemp("parts")))
    turns = data.draw(st.lists(st.integers(0, 2), min_size=len(labels), max_size=len(labels)))
    for turn in range(3):
        rows = lines(asked, [label if at == turn else None for label, at in zip(labels, turns, strict=True)])
        leave(out, data.draw(st.permutations(rows)))
        left = sum(at > turn for at in turns)
        if left:
            with pytest.raises(WaitingError, match=rf"{len(labels) - left} of them answered"):
                from_people(asked, out, "seed")
            assert out.read_bytes(OPEN).decode().count("\n") == 1 + left
        else:
            assert from_people(asked, out, "seed")["label"].to_pylist() == labels
            break


ENOUGH = AnnotationConfig(enough=0.75)


def test_a_share_of_the_answers_may_be_enough(out):
    asked = questions(4)
    leave(out, lines(asked, [1, None, 0, None]))
    with pytest.raises(WaitingError, match="4 questions, 2 of them answered"):
        from_people(asked, out, "seed", ENOUGH)
    assert answered_so_far(asked, out, ENOUGH) == (2, False)
    leave(out, lines(asked, [1, None, 0, 255]))
    assert answered_so_far(asked, out, ENOUGH) == (3, True)
    points = from_people(asked, out, "seed", ENOUGH)
    assert points.schema == POINT_SCHEMA
    assert points.select(["x", "label"]).to_pylist() == [
        {"x": 0, "label": 1},
        {"x": 2, "label": 0},
        {"x": 3, "label": 255},
    ]
    leave(out, lines(asked, [0, 1, 0, None]))  # a correction, and an answer that comes late
    now = corrected(points, asked, out)
    assert now.select(["x", "label"]).to_pylist() == [
        {"x": 0, "label": 0},
        {"x": 2, "label": 0},
        {"x": 3, "label": 255},
    ]
    assert corrected(now, asked, out) is None


def test_after_the_deadline_one_answer_is_enough_and_none_is_not(out, monkeypatch):
    asked, patience = questions(4), AnnotationConfig(deadline_hours=2)
    with pytest.raises(WaitingError):
        from_people(asked, out, "seed", patience)
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: began + 7300)
    with pytest.raises(WaitingError, match="0 of them answered"):
        from_people(asked, out, "seed", patience)
    leave(out, lines(asked, [None, 1, None, None]))
    monkeypatch.setattr(time, "time", lambda: began + 7100)
    with pytest.raises(WaitingError, match="1 of them answered"):
        from_people(asked, out, "seed", patience)
    monkeypatch.setattr(time, "time", lambda: began + 7300)
    assert from_people(asked, out, "seed", patience)["x"].to_pylist() == [1]


def test_an_answer_that_came_late_is_taken_where_it_is_asked_again(out, tmp_path):
    before, asked = Folder(str(tmp_path / "before")), questions(4)
    leave(before, ["gone,1,1,foreground\n", *lines(asked, [None, 1, None, 0])])
    leave(out, lines(asked, [1, None, 0, 1]))
    assert answered_elsewhere(asked, out, [before]) == [0, 1, 2, 3]
    assert from_people(asked, out, "seed", None, [before])["label"].to_pylist() == [1, 1, 0, 1]


def test_what_was_written_into_the_form_is_not_asked_on_the_page(out):
    asked = questions(4)
    leave(out, lines(asked, [None, 1, None, None]), OPEN)
    out.write_table(
        "annotated.parquet",
        asked.select(["image_id", "x", "y"]).slice(3, 1).append_column("label", pa.array([1], pa.uint8())),
    )
    assert answered_elsewhere(asked, out) == [1]
    assert are_answered(asked, out).tolist() == [False, True, False, True]


def test_a_later_round_goes_before_an_earlier_one_and_a_form_counts(out, tmp_path):
    folders, asked = [Folder(str(tmp_path / name)) for name in "ab"], questions(2)
    leave(folders[0], lines(asked, [0, 1]))
    leave(folders[1], lines(asked, [1, None]), OPEN)  # a form that was saved late
    assert from_people(asked, out, "seed", None, folders)["label"].to_pylist() == [1, 1]


def test_answers_of_the_page_are_not_kept_beside_it(out):
    asked = questions(3)
    out.write_table(
        "annotated.parquet",
        asked.select(["image_id", "x", "y"]).slice(0, 1).append_column("label", pa.array([1], pa.uint8())),
    )
    leave(out, lines(asked, [None, 0, None]))
    with pytest.raises(WaitingError, match="3 questions, 2 of them answered"):
        from_people(asked, out, "seed")
    assert out.read_table(ANSWERED)["x"].to_pylist() == [1]
