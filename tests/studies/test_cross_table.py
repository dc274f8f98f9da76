from atal_ray.studies.cross_table import FULL, Scores, to_json, to_markdown


def score(last: float, ensemble: float = 0.5) -> dict[str, dict[str, dict[str, float]]]:
    return {"ECSSD": {"last": {"max_f": last}, "ensemble": {"max_f": ensemble}}}


SCORES: Scores = {
    ("a", "a"): score(0.72),
    ("b", "b"): score(0.60),
    (FULL, "a"): score(0.90),
    (FULL, "b"): score(0.80),
    ("a", "b"): score(0.64),
}


def test_a_cell_is_a_share_of_the_trained_networks_own_full_supervision():
    last = to_json(["a", "b"], "same", SCORES)["sets"]["ECSSD"]["last"]
    assert last["full"] == {"a": 0.9, "b": 0.8}
    assert last["cells"]["a"] == {
        "a": {"max_f": 0.72, "of_full": 0.72 / 0.9},
        "b": {"max_f": 0.64, "of_full": 0.64 / 0.8},
    }
    assert last["cells"]["b"] == {"b": {"max_f": 0.60, "of_full": 0.60 / 0.8}}


def test_markdown_has_a_row_for_each_selecting_network_and_shows_what_is_missing():
    text = to_markdown(to_json(["a", "b"], "same", SCORES))
    wanted = [
        "## ECSSD, last snapshot",
        "| points of | a | b |",
        "| a | 0.7200 (80.0%) | 0.6400 (80.0%) |",
        "| b | – | 0.6000 (75.0%) |",
        "| full masks | 0.9000 | 0.8000 |",
        "## ECSSD, snapshot ensemble",
    ]
    lines = text.splitlines()
    assert all(line in lines for line in wanted)


def test_shares_wait_for_full_supervision():
    text = to_markdown(to_json(["a", "b"], "same", {("a", "a"): score(0.72)}))
    assert "| a | 0.7200 | – |" in text.splitlines()
    assert "| full masks | – | – |" in text.splitlines()
