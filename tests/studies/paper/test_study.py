"""Studies run their campaigns once, share them, go on, and say what holds."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plain_campaigns import files, plain_snapshots, toy_config, with_data

from atal_ray.campaign import train as module
from atal_ray.config import BudgetConfig
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.errors import CampaignError, ConfigError, DataError
from atal_ray.studies.paper.catalogue import STUDIES
from atal_ray.studies.paper.study import Studies, report_studies, run_studies
from atal_ray.studies.paper.study_tables import evidence


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Studies:
    """Two studies that have campaigns in common, of a toy network."""
    folder = tmp_path_factory.mktemp("study")
    write_dataset(folder / "train", count=4, size=(40, 64))
    write_dataset(folder / "test", count=4, size=(40, 64), seed=1)
    config = toy_config(
        folder / "train", (folder / "test",), budget=BudgetConfig(start=2, per_round=2, total=4)
    )
    config = replace(config, resources=replace(config.resources, backend="inline"))
    return Studies(studies=("table1", "fig8"), seeds=2, campaign=config)


@pytest.fixture(scope="module")
def done(plan: Studies, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder, and the rounds that were trained."""
    folder, trained = tmp_path_factory.mktemp("done") / "studies", []
    with plain_snapshots(), pytest.MonkeyPatch.context() as patch:
        counted(patch, trained)
        run_studies(plan, folder)
    return folder, trained


def counted(patch: pytest.MonkeyPatch, trained: list[str]) -> None:
    """Note each round that is trained."""
    from atal_ray.campaign import rounds

    train = module.train

    def noted(campaign: Any, config: Any, number: int) -> None:
        trained.append(f"{campaign.root.name}/{number}")
        train(campaign, config, number)

    patch.setattr(rounds, "train", noted)


def test_each_round_is_trained_once(plan: Studies, done: tuple[Path, list[str]]) -> None:
    _, trained = done
    assert len(trained) == len(set(trained))
    # two seeds of: vanilla, DEN, and a triangle with two rounds each; ATAL with and without RDS share one
    assert len(trained) == 2 * (3 * 2 + 1 + 2)


def test_a_report_of_what_is_there_runs_nothing(
    plan: Studies, done: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "studies"
    shutil.copytree(done[0], folder)
    trained: list[str] = []
    counted(monkeypatch, trained)
    report_studies(replace(plan, seeds=3), folder)
    assert not trained
    found = json.loads((folder / "table1.json").read_text())
    assert [row["seeds"] for row in found["rows"]] == [[0, 1]] * 4
    assert {claim["verdict"] for claim in found["claims"]} == {"not finished"}


def test_tables_and_page_say_what_was_found(plan: Studies, done: tuple[Path, list[str]]) -> None:
    folder, _ = done
    kinds = ("md", "tex", "json")
    names = {path.name for path in folder.iterdir() if path.suffix[1:] in (*kinds, "html")}
    assert names == {
        "study.html",
        *(f"{name}.{kind}" for name in ("table1", "fig8") for kind in kinds),
    }
    table = (folder / "table1.md").read_text()
    assert table.count("\n| ") == 6
    assert "| vanilla | 4 | propagate | 2 | 16 |" in table
    assert "0.7254" in table
    latex = (folder / "table1.tex").read_text()
    assert "\\toprule" in latex
    for text in (table, latex):
        assert f"Data: {plan.campaign.data.train}" in text.replace("\\", "")
        assert "classic maxF" in text
    page = (folder / "study.html").read_text()
    for study in ("table1", "fig8"):
        assert f'<section id="{study}">' in page
    assert "ATAL without RDS, 4 clicks: 0." in page, "values are shown on hover"
    claims = [STUDIES[name].claims(plan.campaign) for name in ("table1", "fig8")]
    assert page.count('class="claim ') == sum(map(len, claims))
    assert "Training passes over each image" in page


def test_the_same_command_does_nothing_again_and_more_seeds_are_added(
    plan: Studies, done: tuple[Path, list[str]]
) -> None:
    folder, _ = done
    before = {name: data for name, data in files(folder).items() if "/round-" in name}
    trained: list[str] = []
    with plain_snapshots(), pytest.MonkeyPatch.context() as patch:
        counted(patch, trained)
        run_studies(plan, folder)
        assert trained == []
        run_studies(replace(plan, studies=("fig4",), seeds=1), folder)
        assert trained == [], "the campaigns of Table 1 serve Figure 4"
        run_studies(replace(plan, studies=("fig6",), seeds=1), folder)
        assert len(trained) == 1 + 2 + 1, (
            "ENT trains its second round, random both or one, and full masks one"
        )
    now = files(folder)
    assert {name: now[name] for name in before} == before
    assert (folder / "fig4.json").exists()
    page = (folder / "study.html").read_text()
    assert page.count("<figcaption>ENT</figcaption>") == 3
    assert 'href="units/' in page


def test_what_fails_is_named_on_the_page_and_tried_again(
    plan: Studies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from atal_ray.campaign import rounds

    train = module.train

    def broken(campaign: Any, config: Any, number: int) -> None:
        if config.train.cycles == 1:
            raise CampaignError("the machine is gone")
        train(campaign, config, number)

    one = replace(plan, studies=("table1",), seeds=1)
    with plain_snapshots():
        with monkeypatch.context() as patch:
            patch.setattr(rounds, "train", broken)
            with pytest.raises(CampaignError, match=r"1 of 4 campaigns failed(?s:.*)the machine is gone"):
                run_studies(one, tmp_path / "s")
        page = (tmp_path / "s/study.html").read_text()
        assert "failed: the machine is gone" in page
        assert "not finished" in page
        run_studies(one, tmp_path / "s")
    assert "not finished" not in (tmp_path / "s/study.html").read_text()


def test_maps_of_others_stand_beside_and_what_lacks_is_said(
    plan: Studies, done: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, _ = done
    masks = Path(plan.campaign.data.tests[0]) / "masks"
    for number, mask in enumerate(sorted(masks.iterdir())[1:]):
        (tmp_path / "Rival").mkdir(exist_ok=True)
        (tmp_path / f"Rival/{mask.name}").write_bytes(mask.read_bytes())
        assert number < 3
    with plain_snapshots():
        run_studies(
            replace(plan, studies=("table2", "fig6"), seeds=1, maps=(str(tmp_path / "Rival"),)), folder
        )
    page = (folder / "study.html").read_text()
    (first,) = sorted(masks.iterdir())[:1]
    assert f"Rival on test, missing: {tmp_path / 'Rival'} has no map of {first.stem}" in page
    shown = page.count("<figcaption>full masks</figcaption>")
    assert page.count("<figcaption>Rival</figcaption>") == shown - (f"<h4>{first.stem}</h4>" in page)
    table = (folder / "table2.md").read_text()
    (row,) = (line for line in table.splitlines() if "maxF ↑" in line)
    assert float(row.split("|")[-2].strip(" *_")) > 0.99
    assert "finished masks" in table
    for wrong, match in (
        ((str(tmp_path / "Rival"),) * 2, "maps names two of Rival"),
        ((f"ATAL={tmp_path / 'Rival'}",), "ATAL is an arm of these studies"),
    ):
        with pytest.raises(ConfigError, match=match):
            run_studies(replace(plan, maps=wrong), folder)
    with pytest.raises(DataError, match="does not exist"):
        run_studies(replace(plan, maps=(str(tmp_path / "nowhere"),)), folder)


def test_parts_of_pages_are_there(plan: Studies, done: tuple[Path, list[str]]) -> None:
    folder, _ = done
    with plain_snapshots():
        run_studies(replace(plan, studies=("table3", "fig4", "fig5", "fig8", "sensitivity"), seeds=1), folder)
    page = (folder / "study.html").read_text()
    assert page.count("<figcaption>Uncertainty after the attack</figcaption>") == 2 * 4, (
        "two rounds of four images"
    )
    assert "learning rate of the head" in page
    assert "ATAL: up to" in page
    assert "times an even spread" in page
    assert 'class="own" style="--share:' in page
    assert "Share of its own full supervision on test" in page
    assert "points without another within 5 px" in (folder / "fig8.md").read_text()
    (cell,) = json.loads((folder / "table3.json").read_text())["cross"]["test"].values()
    assert cell.popitem()[1]["of_full"]["mean"] > 0


def test_other_images_of_the_same_name_are_refused(
    plan: Studies, done: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, _ = done
    same = tmp_path / "same/train"
    shutil.copytree(plan.campaign.data.train, same)
    moved = replace(plan, studies=("fig8",), campaign=with_data(plan.campaign, train=str(same)))
    trained: list[str] = []
    with plain_snapshots(), pytest.MonkeyPatch.context() as patch:
        counted(patch, trained)
        run_studies(moved, folder)
    assert trained == []
    other = tmp_path / "other/train"
    write_dataset(other, count=4, size=(40, 64), seed=5)
    with pytest.raises(DataError, match="scene-"):
        run_studies(replace(moved, campaign=with_data(plan.campaign, train=str(other))), folder)


def test_an_arm_without_any_seed_does_not_stop_the_page() -> None:
    claim = {"of_arms": [[1.0], []], "differences": {}, "clicks": 10}
    assert evidence(claim) == ""


def test_what_cannot_be_studied_is_refused(plan: Studies, tmp_path: Path) -> None:
    data = replace(plan.campaign.data, tests=())
    with pytest.raises(ConfigError, match="a study needs at least one test set"):
        run_studies(replace(plan, campaign=replace(plan.campaign, data=data)), tmp_path / "s")
    changed = replace(plan.campaign, budget=replace(plan.campaign.budget, total=5, earlier=(1,)))
    with pytest.raises(ConfigError, match=r"leave budget\.earlier unset"):
        run_studies(replace(plan, campaign=changed), tmp_path / "s")
    people = replace(plan.campaign, budget=replace(plan.campaign.budget, annotator="answers"))
    with pytest.raises(ConfigError, match=r"use budget\.annotator oracle"):
        run_studies(replace(plan, campaign=people), tmp_path / "s")
