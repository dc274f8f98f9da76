"""The figures of docs/sweep.md are those of the result file."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_what_a_sweep_saves():
    page = " ".join((ROOT / "docs/sweep.md").read_text().split())
    found = json.loads((ROOT / "benchmarks/results/sweep_sharing.json").read_text())
    work, alone = found["work"], found["alone"]
    assert found["over"] == ["query.top-percent=2,5,15", "train.cycles=1,2,3", "budget.total=2,4,6"]
    assert f"trained {work['passes']:,} image passes where 27 campaigns train {work['separate_passes']:,}" in page
    assert f"that is {found['share_of_passes']:.0%}, in {found['share_of_seconds']:.0%} of their time" in page
    assert found["equal"] == len(alone)
    assert f"{len(alone)} of the 27 were run alone" in page
    assert found["rounds_committed_at_the_kill"] > 0
