"""The figures of docs/sweep.md, and of a generation in docs/campaign.md, are those of their result files."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_what_a_sweep_saves() -> None:
    page = " ".join((ROOT / "docs/sweep.md").read_text().split())
    found = json.loads((ROOT / "benchmarks/results/sweep_sharing.json").read_text())
    work, alone = found["work"], found["alone"]
    assert found["over"] == ["query.top-percent=2,5,15", "train.cycles=1,2,3", "budget.total=2,4,6"]
    assert (
        f"trained {work['passes']:,} image passes where 27 campaigns train {work['separate_passes']:,}"
        in page
    )
    assert f"that is {found['share_of_passes']:.0%}, in {found['share_of_seconds']:.0%} of their time" in page
    assert found["equal"] == len(alone)
    assert f"{len(alone)} of the 27 were run alone" in page
    assert found["rounds_committed_at_the_kill"] > 0


def test_what_a_generation_takes() -> None:
    page = " ".join((ROOT / "docs/campaign.md").read_text().split())
    found = json.loads((ROOT / "benchmarks/results/generate_run.json").read_text())
    growth = max(value for call in found["growth"].values() for value in call.values()) - 1
    rates = [rate for call in found["images_per_s_by_quarter"].values() for rate in call]
    assert f"grew by at most {100 * growth:.1f} % within a call" in page
    assert f"asked {min(rates):.1f} to {max(rates):.1f} images/s" in page
    assert f"with {found['shards_done_at_the_kill']} of {found['shards']} shards done" in page
    assert found["images_of_the_second_call"] <= found["images_left_at_the_kill"]
    assert found["points"] == found["points_of_an_image"] * 5000
