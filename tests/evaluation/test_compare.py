"""Saliency maps from anywhere against masks: tables, and every map that is not as it should be, by name."""

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from atal_ray import cli
from atal_ray.config import NetworkConfig
from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.data.images import read_image, read_mask, resize
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CheckpointError, ConfigError, DataError
from atal_ray.evaluation import compare as evaluation
from atal_ray.evaluation import score_curves, score_maps
from atal_ray.evaluation.compare import evaluate, named
from atal_ray.inference.saliency import predict, saliency_maps
from atal_ray.metrics.accumulator import Accumulator
from atal_ray.networks.f3net_small import F3NetSmall
from atal_ray.networks.inputs import to_batch
from atal_ray.store.folder import Folder


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """Files in place of the figures, which take most of the time; `test_score_curves` draws some."""
    monkeypatch.setattr(score_curves, "files", lambda draw, **size: {"svg": b"<svg/>", "png": b"a picture"})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("sets") / "SCENES", count=6)


def masks_of(dataset: Path) -> dict[str, np.ndarray]:
    return {path.stem: read_mask(path).astype(bool) for path in sorted((dataset / "masks").iterdir())}


@pytest.fixture
def maps(dataset, tmp_path) -> dict[str, dict[str, np.ndarray]]:
    """Two methods' maps, as files below `tmp_path` and as arrays."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for seed, method in enumerate(("good", "bad")):
        rng = np.random.default_rng(seed)
        (tmp_path / method).mkdir()
        for image_id, mask in masks_of(dataset).items():
            saliency = np.clip(mask * (150 - 100 * seed) + rng.integers(0, 100, mask.shape), 0, 255).astype(
                np.uint8
            )
            Image.fromarray(saliency).save(tmp_path / method / f"{image_id}.png")
            found.setdefault(method, {})[image_id] = saliency
    return found


def config(dataset: Path, tmp_path: Path, *methods: str, **changes: Any) -> EvaluationConfig:
    """Inline, unless the changes name another backend."""
    maps = tuple(str(tmp_path / method) for method in methods)
    settings = EvaluationConfig(masks=(str(dataset),), maps=maps, actors=2, backend="inline")
    return dataclasses.replace(settings, **changes)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_ray_gives_the_scores_of_inline(dataset, maps, tmp_path, monkeypatch):
    [monkeypatch.setattr(module, "SHARD", 2) for module in (score_maps, evaluation)]
    written = []
    for backend in ("ray", "inline"):
        evaluate(config(dataset, tmp_path, "good", backend=backend), tmp_path / backend)
        place = tmp_path / backend / "scores/SCENES/good"
        written.append([(place / name).read_bytes() for name in ("metrics.json", "scores.json")])
    assert written[0] == written[1]


def test_scores_are_those_of_the_maps_however_they_are_sharded(dataset, maps, tmp_path, monkeypatch):
    written = []
    for shard in (1, 4, 64):
        [monkeypatch.setattr(module, "SHARD", shard) for module in (score_maps, evaluation)]
        out = tmp_path / f"out{shard}"
        assert (
            evaluate(
                config(dataset, tmp_path, "good", "bad", compare=("good", "bad"), relative_to="good"), out
            )
            == []
        )
        written.append(
            {method: (out / f"scores/SCENES/{method}/metrics.json").read_bytes() for method in maps}
        )
    assert written[0] == written[1] == written[2]
    for method, found in maps.items():
        sums = Accumulator()
        for image_id, mask in masks_of(dataset).items():
            sums.add(found[image_id], mask)
        assert json.loads(written[0][method]) == sums.summary().to_json()
        per_image = json.loads((out / f"scores/SCENES/{method}/scores.json").read_text())
        assert [row["image_id"] for row in per_image["images"]] == sorted(found)
        assert per_image["metrics"]["mae"] == pytest.approx(
            np.mean([row["mae"] for row in per_image["images"]])
        )
    table = (out / "table.md").read_text()
    assert "| maxF / good |" in table
    assert "100.0%" in table
    assert (out / "table.tex").exists()
    assert (out / "table.csv").exists()
    assert {path.name for path in (out / "curves").iterdir()} == {"SCENES.svg", "SCENES.png"}
    (mae,) = (
        row for row in json.loads((out / "comparison/bootstrap.json").read_text()) if row["metric"] == "mae"
    )
    assert mae["low"] <= mae["mean"] <= mae["high"] < 0
    assert not list(out.rglob("parts"))


def test_what_is_wrong_is_named_and_the_rest_is_scored(dataset, maps, tmp_path):
    folder = tmp_path / "good"
    ids = sorted(maps["good"])
    (folder / f"{ids[0]}.png").unlink()
    small = Image.fromarray(maps["good"][ids[1]]).resize((20, 30))
    small.save(folder / f"{ids[1]}.png")
    Image.fromarray(maps["good"][ids[2]]).convert("P").save(folder / f"{ids[2]}.png")
    whole = (folder / f"{ids[3]}.png").read_bytes()
    (folder / f"{ids[3]}.png").write_bytes(whole[: len(whole) // 2])
    small.save(folder / "stranger.png")
    sentences = evaluate(config(dataset, tmp_path, "good"), tmp_path / "out")
    assert len(sentences) == 3
    for kind, name in (("missing", ids[0]), ("unreadable", f"{ids[3]}.png"), ("extra", "stranger.png")):
        assert any(f"good on SCENES, {kind}: " in sentence and name in sentence for sentence in sentences)
    notes = (tmp_path / "out/notes.csv").read_text().splitlines()
    for kind, name in (
        ("missing", ids[0]),
        ("resized", ids[1]),
        ("palette", ids[2]),
        ("unreadable", ids[3]),
        ("extra", "stranger"),
    ):
        assert any(line.startswith(f"SCENES,good,{name},{kind},") for line in notes), kind
    assert "20x30 px" in next(line for line in notes if "resized" in line)
    scored = json.loads((tmp_path / "out/scores/SCENES/good/scores.json").read_text())
    assert [row["image_id"] for row in scored["images"]] == [ids[1], ids[2], *ids[4:]]
    palette = next(row for row in scored["images"] if row["image_id"] == ids[2])
    plain = Accumulator().add(maps["good"][ids[2]], masks_of(dataset)[ids[2]])
    assert palette["mae"] == pytest.approx(plain["mae"][0])


def test_exit_status_says_whether_all_was_there(dataset, maps, tmp_path, monkeypatch, capsys):
    def run() -> int:
        arguments = [
            "atal",
            "evaluate",
            str(tmp_path / "out"),
            "--masks",
            str(dataset),
            "--maps",
            str(tmp_path / "good"),
            "--backend",
            "inline",
        ]
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0)

    kept = next((tmp_path / "good").iterdir())
    content = kept.read_bytes()
    kept.unlink()
    assert run() == 1
    assert f"missing: {tmp_path}/good has no map of {kept.stem}" in capsys.readouterr().err
    kept.write_bytes(content)
    assert run() == 0
    assert "SCENES 6" in capsys.readouterr().out


def test_only_what_changed_is_scored_again(dataset, maps, tmp_path, monkeypatch):
    out = tmp_path / "out"
    evaluate(config(dataset, tmp_path, "good"), out)
    first = (out / "scores/SCENES/good/metrics.json").stat().st_mtime_ns
    evaluate(config(dataset, tmp_path, "good", "bad"), out)
    assert (out / "scores/SCENES/good/metrics.json").stat().st_mtime_ns == first
    changed = next((tmp_path / "good").iterdir())
    Image.fromarray(255 - maps["good"][changed.stem]).save(changed)
    before = json.loads((out / "scores/SCENES/good/metrics.json").read_text())["mae"]
    evaluate(config(dataset, tmp_path, "good", "bad"), out)
    assert json.loads((out / "scores/SCENES/good/metrics.json").read_text())["mae"] > before
    stricter = config(dataset, tmp_path, "good", "bad", mask_threshold=200)
    second = (out / "scores/SCENES/bad/metrics.json").stat().st_mtime_ns
    evaluate(stricter, out)
    assert (out / "scores/SCENES/bad/metrics.json").stat().st_mtime_ns != second


def test_finished_shards_are_not_scored_again(dataset, maps, tmp_path, monkeypatch):
    [monkeypatch.setattr(module, "SHARD", 2) for module in (score_maps, evaluation)]
    out = tmp_path / "out"
    evaluate(config(dataset, tmp_path, "good"), out)
    place = out / "scores/SCENES/good"
    sums = Accumulator()
    perfect = np.array([[0, 255]], np.uint8)
    for _ in range(2):
        sums.add(perfect, perfect > 0)
    (place / "metrics.json").unlink()
    (place / "parts").mkdir()
    (place / "parts/000000.sums.json").write_text(json.dumps(sums.state()))
    for kind in ("images", "notes"):
        table = Folder(str(place)).read_table(f"{kind}.parquet").slice(0, 2)
        Folder(str(place / "parts")).write_table(f"000000.{kind}.parquet", table)
    before = json.loads((out / "scores/SCENES/good/scores.json").read_text())["metrics"]["mae"]
    evaluate(config(dataset, tmp_path, "good"), out)
    assert json.loads((place / "metrics.json").read_text())["mae"] < before


def test_checkpoint_is_predicted_and_then_scored_as_any_method(dataset, tmp_path):
    torch.manual_seed(0)
    network = F3NetSmall().eval()
    torch.save(network.state_dict(), tmp_path / "mine.pt")
    settings = EvaluationConfig(
        masks=(str(dataset),),
        checkpoint=(f"ours={tmp_path}/mine.pt",),
        network=NetworkConfig(name="f3net-small"),
        size=64,
        batch_size=4,
        backend="inline",
    )
    assert evaluate(settings, tmp_path / "out") == []
    predicted = sorted((tmp_path / "out/maps/ours/SCENES").glob("*.png"))
    assert [path.stem for path in predicted] == sorted(masks_of(dataset))
    first = predicted[0].stat().st_mtime_ns
    for path in predicted:  # test_predict.py has the same without the package's functions
        image = read_image(dataset / "images" / f"{path.stem}.jpg")
        logits = predict([network], to_batch(resize(image, 64)[None], torch.device("cpu")))
        expected = saliency_maps(logits[:, 0], masks_of(dataset)[path.stem].shape)[0].numpy()
        np.testing.assert_allclose(np.asarray(Image.open(path)), 255 * expected, atol=1)
    evaluate(settings, tmp_path / "out")
    assert predicted[0].stat().st_mtime_ns == first
    evaluate(dataclasses.replace(settings, size=96), tmp_path / "out")
    assert predicted[0].stat().st_mtime_ns != first
    torch.save({"other": torch.zeros(1)}, tmp_path / "mine.pt")
    with pytest.raises(CheckpointError, match=r"mine\.pt holds weights of another network"):
        evaluate(settings, tmp_path / "out")


def test_methods_have_a_folder_for_each_of_several_sets(dataset, maps, tmp_path):
    other = write_dataset(tmp_path / "OTHER", count=2, seed=5)
    settings = EvaluationConfig(
        masks=(str(dataset), str(other)), maps=(str(tmp_path / "both"),), backend="inline"
    )
    (tmp_path / "both").mkdir()
    (tmp_path / "good").rename(tmp_path / "both/SCENES")
    with pytest.raises(DataError, match="both has no folder OTHER"):
        evaluate(settings, tmp_path / "out")
    (other / "masks").rename(tmp_path / "both/OTHER")
    with pytest.raises(DataError, match="holds photographs"):
        evaluate(settings, tmp_path / "out")
    write_dataset(tmp_path / "again/OTHER", count=2, seed=5)
    settings = dataclasses.replace(settings, masks=(str(dataset), str(tmp_path / "again/OTHER")))
    assert evaluate(settings, tmp_path / "out") == []
    assert json.loads((tmp_path / "out/scores/OTHER/both/metrics.json").read_text())["mae"] == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"masks": ()}, "give test sets with --masks"),
        ({"maps": ()}, "methods with --maps or --checkpoint"),
        ({"maps": ("a/x", "b/x")}, r"maps names two of x: .*give one another name, as NAME=PATH"),
        ({"maps": ("../m/..=a",)}, "cannot name a folder"),
        ({"maps": ("x=a",), "checkpoint": ("x=b",)}, "two methods are called x"),
    ],
)
def test_names_that_cannot_be_are_refused(tmp_path, changes, sentence):
    settings = dataclasses.replace(EvaluationConfig(masks=("m",), maps=("a",), backend="inline"), **changes)
    with pytest.raises(ConfigError, match=sentence):
        evaluate(settings, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").mkdir()
    (tmp_path / "net.final.pth").write_text("")
    found = named(("a=b", "ours=net.final.pth", "net.final.pth"), "maps")
    assert found == {
        "a=b": tmp_path / "a=b",
        "ours": tmp_path / "net.final.pth",
        "net.final": tmp_path / "net.final.pth",
    }


def test_files_of_others_are_never_deleted(dataset, maps, tmp_path):
    torch.save(F3NetSmall().state_dict(), tmp_path / "mine.pt")
    theirs = tmp_path / "maps/mine/SCENES"
    (tmp_path / "maps/mine").mkdir(parents=True)
    (tmp_path / "good").rename(theirs)
    settings = EvaluationConfig(
        masks=(str(dataset),),
        checkpoint=(f"{tmp_path}/mine.pt",),
        network=NetworkConfig(name="f3net-small"),
        size=64,
        backend="inline",
    )
    with pytest.raises(ConfigError, match="holds files that were not predicted here"):
        evaluate(settings, tmp_path)
    assert len(list(theirs.iterdir())) == 6


def test_masks_are_never_taken_for_images(dataset, tmp_path):
    torch.save(F3NetSmall().state_dict(), tmp_path / "mine.pt")
    settings = EvaluationConfig(
        masks=(str(dataset / "masks"),),
        checkpoint=(f"{tmp_path}/mine.pt",),
        network=NetworkConfig(name="f3net-small"),
        size=64,
        backend="inline",
    )
    with pytest.raises(DataError, match="not its masks alone"):
        evaluate(settings, tmp_path / "out")


def test_a_method_that_cannot_be_read_at_all_leaves_the_others_their_report(dataset, maps, tmp_path):
    for path in (tmp_path / "bad").iterdir():
        path.write_bytes(b"no picture")
    link = next((tmp_path / "good").iterdir())
    link.unlink()
    link.symlink_to("nowhere")
    sentences = evaluate(
        config(dataset, tmp_path, "good", "bad", compare=("good", "bad"), relative_to="bad"), tmp_path / "out"
    )
    assert any(
        "bad on SCENES, unreadable" in sentence and "and 3 more in notes.csv" in sentence
        for sentence in sentences
    )
    assert any("good on SCENES, unreadable" in sentence and link.name in sentence for sentence in sentences)
    assert "good" in (tmp_path / "out/table.md").read_text()
    assert "no image has a score of both" in (tmp_path / "out/comparison/bootstrap.md").read_text()
    evaluate(config(dataset, tmp_path, "good"), tmp_path / "out")
    assert not (tmp_path / "out/comparison").exists()


def test_a_file_of_equal_size_and_older_time_is_still_another(dataset, maps, tmp_path):
    out, image_id = tmp_path / "out", sorted(maps["good"])[0]
    path = tmp_path / f"good/{image_id}.npy"
    path.with_suffix(".png").unlink()
    np.save(path, maps["good"][image_id])
    evaluate(config(dataset, tmp_path, "good"), out)
    before = json.loads((out / "scores/SCENES/good/metrics.json").read_text())["mae"]
    np.save(tmp_path / "other.npy", 255 - maps["good"][image_id])
    os.utime(tmp_path / "other.npy", (1, 1))
    (tmp_path / "other.npy").rename(path)
    evaluate(config(dataset, tmp_path, "good"), out)
    assert json.loads((out / "scores/SCENES/good/metrics.json").read_text())["mae"] > before


@pytest.mark.parametrize("name", [".hidden", "a/b", "a\nb", "x" * 101, ""])
def test_names_that_no_folder_should_have_are_refused(name):
    with pytest.raises(ConfigError, match="cannot name a folder"):
        named((f"{name}=somewhere",) if name else ("/",), "maps")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"relative_to": "c"}, "relative-to names c"), ({"compare": ("a", "d")}, "compare names d")],
)
def test_unknown_methods_are_refused_before_anything_is_read(tmp_path, changes, sentence):
    with pytest.raises(ConfigError, match=rf"{sentence}, but the methods are a, b"):
        evaluate(EvaluationConfig(masks=("absent",), maps=("a", "b"), **changes), tmp_path / "out")


def test_the_table_holds_the_standard_metrics_unless_others_are_asked_for(dataset, maps, tmp_path):
    for metrics, shown in (
        ((), ["maxF", "mean F", "weighted F", "S-measure", "mean E", "MAE"]),
        (("mae", "e_soft"), ["MAE", "soft E"]),
    ):
        evaluate(config(dataset, tmp_path, "good", metrics=metrics), tmp_path / "out")
        rows = (tmp_path / "out/table.md").read_text().splitlines()[2:]
        assert [
            row.split("|")[2].split(" ↑")[0].split(" ↓")[0].strip() for row in rows if "|" in row
        ] == shown
    assert "soft E" in (tmp_path / "out/all_metrics.md").read_text()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"metrics": ("e_sof",)}, "metrics names e_sof, did you mean e_soft?"),
        ({"metrics": ("mae",), "relative_to": "good"}, "relative-to gives shares of max_f"),
    ],
)
def test_metrics_are_judged_before_the_work(dataset, maps, tmp_path, changes, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        evaluate(config(dataset, tmp_path, "good", **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()
