"""The figures of docs/scale.md are those of the result files."""

import dataclasses
import json
import re
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from side_by_side import paired_ratio
from superpixel_variants import VARIANTS

from atal_ray.campaign.query.dataset_actor import NUMBERS, VECTOR, memory_needed
from atal_ray.commands.plans import parsed
from atal_ray.config import Config, RegionConfig

ROOT = Path(__file__).resolve().parents[1]
PAGE = " ".join((ROOT / "docs/scale.md").read_text().split())
CHEAP = "loose, 500 asked, 3 levels, 3 iterations"


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks/results" / f"{name}.json").read_text())
    return found


def speed() -> list[str]:
    found = result("query_speed_cpu")
    rows = found["variants"]
    rate, half = (
        max(rate for layer, rate in found["gflop_a_second"].items() if kind in layer)
        for kind in ("float32", "bfloat16")
    )
    ours, goes = rows["ours"], found["time_goes"]["ours"]
    convolutions = goes["convolution"] + goes["input gradient of convolutions"]
    assert found["without_rounding"]["equal_points"] == 1
    return [
        f"{ours['times_as_fast']:.2f} times as fast as torchattacks' PGD with a plain loop",
        f"{ours['times_the_floor']:.2f} times the floor, "
        f"which is {found['gflop_an_image']:.0f} GFLOP an image at {rate:.0f} GFLOP/s",
        f"{rows['ours, bfloat16']['times_the_floor']:.2f} times the floor in bfloat16, at {half:.0f} GFLOP/s",
        f"convolutions and their gradients take {100 * convolutions:.0f} % of it",
        f"{100 * rows['torchattacks + loop, planar images']['equal_points']:.0f} % of its own points",
        *(
            f"| {option} | {rows[name]['times_as_fast']:.2f} "
            f"| {100 * rows[name]['equal_points']:.0f} % | {rows[name]['map_change']:.3f} |"
            for option, name in {
                "(none)": "ours",
                "`attack.scale 0.5`": "ours, attack at half the side",
                "`attack.steps 3`": "ours, 3 steps",
                "`query.precision bfloat16`": "ours, bfloat16",
                "`query.precision bfloat16`, `attack.scale 0.5`": "ours, bfloat16, half the side",
            }.items()
        ),
    ]


def scale() -> list[str]:
    found, read, phrases = result("rds_scale"), result("rds_reads"), []
    for count, name in {"1,000,000": "1 M", "10,000,000": "10 M"}.items():
        kcenter, maxsum, eq10 = (
            found[count],
            read[count]["maxsum"]["times_a_read"],
            read[count]["eq10"]["times_a_read"],
        )
        phrases += [
            f"{name} candidates: {kcenter['median_s']['ours']:.1f} s, "
            f"{kcenter['times_faster']:.1f} times faster than flat passes, "
            f"with {100 * kcenter['share_of_distances']:.1f} % of the distances",
            f"timed for {found['options']['flat_m']} picks, and their seconds counted "
            f"{kcenter['flat_scaled_by']:.0f} times",
            f"{name}: {maxsum['faiss']:.2f} (faiss) and {maxsum['numpy']:.2f} (NumPy) "
            "times as many reads as picks",
            f"{name}: {eq10['faiss']:.2f} (faiss) and {eq10['numpy']:.2f} (NumPy) times one read",
        ]
    rivals = {
        dimensions: list(found["fpsample"][dimensions]["median_s"].values())
        for dimensions in ("3", "8", "64")
    }
    phrases += [
        f"in {dimensions} dimensions {ours:.2f} s beside its {other:.2f} s"
        for dimensions, (ours, other) in rivals.items()
    ]
    return [*phrases, f"{found['many picks']['median_s']['ours']:.0f} s for the 10,553 images of DUTS-TR"]


def image() -> list[str]:
    found = result("rds_image")
    rates, faster = found["images_per_s"], found["times_as_fast"]
    kcenter, maxsum = faster["ours, kcenter"], faster["ours, maxsum"]
    flat = f"{kcenter['flat float64, kcenter']:.1f} and {maxsum['flat float64, maxsum']:.1f}"
    return [
        f"k-center {rates['ours, kcenter']:.0f} images/s, "
        f"{kcenter['naive, maxsum']:.1f} times the naive form",
        f"Algorithm 1 {rates['ours, maxsum']:.0f} images/s, {maxsum['naive, maxsum']:.1f} times it",
        f"{flat} times the flat float64 forms",
    ]


def space() -> list[str]:
    rows = {row["case"]: row for row in result("cover_space")["rows"]}
    return [
        f"| {case} | {row['radius_px']:.0f} px | {row['radius_features']:.2f} "
        f"| {100 * row['near_in_cover']:.0f} % |"
        for case, row in rows.items()
    ]


def pipeline() -> list[str]:
    found = result("query_pipeline")
    ratios, shards = found["ratios"], found["measured_shards"]
    return [
        f"{shards['1 actor']} shards in each of {found['options']['repeats']} turns",
        f"two loops at once do {ratios['two loops to one']:.2f} times what one does",
        f"{100 * ratios['one actor to the loop']:.0f} % of the throughput of a hand-written loop",
        f"from {shards['2 actors']} shards in each turn only",
        f"{ratios['two actors to one']:.2f} times one",
    ]


def memory() -> list[str]:
    return [
        f"| {row['images']:,} | {row['driver_mib']:.0f} | {row['object_store_mib']:.0f} "
        f"| {row['workers_mib']:.0f} |"
        for row in result("query_memory")["runs"]
    ]


def superpixels() -> list[str]:
    found = result("superpixels")
    rows = {row["variant"]: row for row in found["rows"]}
    default, cheap = rows["default"], rows[CHEAP]
    clicked = cheap["wrong_share_clicked"]
    longer = cheap["border_share"] / default["border_share"] - 1
    more = (1 - cheap["asa"]["mean"]) / (1 - default["asa"]["mean"]) - 1
    return [
        f"{default['ms_per_image']:.0f} ms a core with the default settings",
        f"{found['images']} masks of DUTS-TR",
        f"borders are {100 * longer:.0f} % longer",
        f"can get right are {100 * more:.0f} % more",
        f"Of {found['clicks']} random clicks an image {100 * clicked['mean']:.2f} % is wrong, by default "
        f"{100 * default['wrong_share_clicked']['mean']:.2f} %, with a standard error of the difference of "
        f"{100 * clicked['standard_error']:.2f} points",
        *(superpixel_row(row) for row in rows.values() if f"| {row['variant']} |" in PAGE),
    ]


def superpixel_row(row: dict[str, Any]) -> str:
    measures = ("boundary_recall", "asa", "wrong_share", "wrong_share_near")
    shown = " | ".join(f"{100 * row[key]['mean']:.2f}" for key in measures)
    equal = "yes" if row["equal"] else "no"
    return f"| {row['variant']} | {row['cost']:.2f} | {shown} | {row['superpixels']:.0f} | {equal} |"


def test_memory_of_a_round() -> None:
    found = result("round_cache")
    first, second = found["sizes"]
    assert f"with {found['cache_mib']} MiB, a worker that loads" in PAGE
    assert f"{first['images']:,} images takes {first['peak_above_mib']:.0f} MiB more" in PAGE
    assert (
        f"one that loads {second['images']:,} takes {second['peak_above_mib']:.0f} MiB, though these are "
        f"{second['decoded_mib']:,} MiB decoded" in PAGE
    )


def start_up() -> list[str]:
    found = result("round_start")
    now, before = (
        [found[title][name]["start_up_seconds"] for title in ("first_round", "second_round")]
        for name in ("now", "before")
    )
    return [
        f"that is {now[0]:.0f} s of a first round and {now[1]:.0f} s of a second one",
        f"{before[0]:.0f} s and {before[1]:.0f} s at commit {found['before_commit'][:7]}",
    ]


def gpu_query() -> list[str]:
    rows = {name: row["images_per_s"] for name, row in result("gpu")["parts"]["estimate"]["figures"].items()}
    return [
        f"| torchattacks and a loop, float32 | {rows['torchattacks and a loop, float32, batch 16']:.0f} | |",
        *(
            f"| bfloat16{said} | {rows[f'{name}, batch 16']:.0f} | {rows[f'{name}, batch 64']:.0f} |"
            for said, name in {"": "on the device, bfloat16", ", one CUDA graph": "+ CUDA graph"}.items()
        ),
    ]


def choosing() -> list[str]:
    found = result("choosing")
    spent, moved = found["ms_an_image"], found["bytes_an_image"]
    whole = f"{spent['whole maps']:.1f} ms"
    return [
        f"{moved['candidates'] / 1e6:.2f} MB of the {moved['maps'] / 1e6:.2f} MB that the maps",
        f"takes {spent['candidates alone']:.1f} ms of a core from candidates alone, and {whole} from whole",
        f"{whole} become {spent['features of all candidates']:.1f} ms",
    ]


FIGURES = [
    speed,
    scale,
    image,
    space,
    pipeline,
    memory,
    superpixels,
    start_up,
    gpu_query,
    choosing,
]


@pytest.mark.parametrize("figures", FIGURES)
def test_figures_come_from_their_file(figures: Callable[[], list[str]]) -> None:
    for phrase in figures():
        assert phrase in PAGE


def test_cheap_superpixels_are_those_that_were_measured() -> None:
    (options,) = re.findall(r"((?:--regions\.\S+(?: \d+)? ?)+)", PAGE)
    cut = VARIANTS[CHEAP]
    assert isinstance(cut, partial)
    measured = dataclasses.replace(RegionConfig(), **cut.keywords)
    assert parsed(Config(), options.split(), "test").regions == measured
    (row,) = (row for row in result("superpixels")["rows"] if row["variant"] == CHEAP)
    assert row["surely_equal"]
    assert row["a_quarter"]


def test_memory_of_one_budget_is_what_the_actor_asks_for() -> None:
    parts: Any = SimpleNamespace(candidates=60 * 1_000_000, channels=64)
    needed = memory_needed(parts, Config(), 1_000_000)
    assert Config().query.ceiling * Config().query.cover_factor == 60
    assert f"about {needed / 2**30:.1f} GiB for a million images" in PAGE
    assert f"`query.cover-images` images ({Config().query.cover_images:,})" in PAGE
    assert f"{NUMBERS} bytes each" in PAGE
    assert f"up to {VECTOR} C + 100 bytes a candidate" in PAGE


def test_ratios_are_medians_of_paired_turns() -> None:
    for count in ("1,000,000", "10,000,000"):
        found = result("rds_scale")[count]
        pairs = zip(found["repeats_s"]["flat, flat_m picks"], found["repeats_s"]["ours"], strict=True)
        assert found["times_faster"] == statistics.median(
            found["flat_scaled_by"] * flat / ours for flat, ours in pairs
        )
    rates, ratios = result("query_pipeline")["images_per_s"], result("query_pipeline")["ratios"]
    pairs = zip(rates["2 actors"], rates["1 actor"], strict=True)
    assert ratios["two actors to one"] == statistics.median(two / one for two, one in pairs)


def test_a_slow_turn_of_the_machine_does_not_change_a_ratio() -> None:
    seconds = {"ours": [1.0, 1.0, 1.0, 2.0, 3.0], "rival": [2.0, 2.0, 2.0, 4.0, 6.0]}
    assert paired_ratio(seconds, "rival", "ours") == 2
    assert paired_ratio(seconds, "rival", "ours", scale=5) == 10
    assert paired_ratio({"a": [1.0, 9.0, 10.0], "b": [2.0, 3.0, 20.0]}, "a", "b") == 0.5  # unpaired: 3
