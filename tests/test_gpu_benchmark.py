"""benchmarks/gpu.py: its parts run on a CPU at a small size; one that fails loses nothing of the others."""

import json
import subprocess
import sys
from pathlib import Path

import gpu
import pytest
from gpu_parts.setup import AHEAD, Note, Part, Setup
from gpu_parts.step import kind_of

SCRIPT = Path(gpu.__file__)
ON_RAY = "training on Ray"
COMPILED = [name for name in gpu.PARTS if "compile" in name]


def setup_in(folder: Path) -> Setup:
    return Setup(data=folder, weights=None, stride_on="3x3", work=folder, small=True, seconds=1)


def test_a_part_that_fails_leaves_its_figures_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(setup: Setup, note: Note) -> None:
        note("first", {"ms": 1.5})
        raise ValueError("no such kernel")

    def works(setup: Setup, note: Note) -> None:
        note("second", {"ms": 2})

    parts = {"fails": Part(fails, 1), "works": Part(works, 1)}
    monkeypatch.setattr(gpu, "part_of", parts.__getitem__)
    gpu.run_here(setup_in(tmp_path), ["fails", "works"])
    child = gpu.Child.__new__(gpu.Child)
    child.notes = tmp_path / "notes"
    found = child.read()
    assert {name: part["figures"] for name, part in found.items()} == {
        "fails": {"first": {"ms": 1.5}},
        "works": {"second": {"ms": 2}},
    }
    assert found["fails"]["state"] == "ValueError: no such kernel"
    assert found["works"]["state"] == "done"


def test_figures_of_a_part_that_has_not_ended_are_read(tmp_path: Path) -> None:
    lines = [["step", gpu.START, {}], ["step", "planar", {"ms": 3}]]
    (tmp_path / "notes").write_text("".join(json.dumps(line) + "\n" for line in lines))
    child = gpu.Child.__new__(gpu.Child)
    child.notes = tmp_path / "notes"
    assert child.read() == {"step": {"figures": {"planar": {"ms": 3}}}}


@pytest.mark.parametrize("name", gpu.PARTS)
def test_every_part_is_there(name: str) -> None:
    part = gpu.part_of(name)
    assert callable(part.run)
    assert part.limit > 0


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("void at::native::batch_norm_collect_statistics_channels_last_kernel<...>", "batch norm"),
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc", "convolutions and products"),
        ("triton_poi_fused_add_relu_3", "Triton (fused by the compiler)"),
        ("void at::native::upsample_bilinear2d_backward_nhwc_out_frame<...>", "resize"),
        ("Memcpy HtoD (Pinned -> Device)", "copies"),
        ("what is this", "other"),
    ],
)
def test_kernels_are_told_apart_by_name(kernel: str, kind: str) -> None:
    assert kind_of(kernel) == kind


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen", [[name for name in gpu.PARTS if name not in (ON_RAY, *COMPILED)], COMPILED, [ON_RAY]]
)
def test_the_parts_run_on_a_cpu_at_a_small_size(
    synth_folder: Path, tmp_path: Path, chosen: list[str]
) -> None:
    out = tmp_path / "gpu.json"
    command = [
        sys.executable,
        SCRIPT,
        "--data",
        synth_folder,
        "--size",
        "small",
        "--minutes",
        "15",
        "--out",
        out,
    ]
    done = subprocess.run([*map(str, command), "--parts", *chosen], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert result["left_out"] == []
    assert {name: result["parts"][name]["state"] for name in chosen if name != AHEAD} == dict.fromkeys(
        (name for name in chosen if name != AHEAD), "done"
    )
    assert not [part for part in result["parts"].values() if "error" in str(part["figures"])], done.stderr
    assert "images_per_s" in done.stdout or "ms" in done.stdout
