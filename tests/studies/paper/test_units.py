"""A campaign that several arms or studies need is one unit; what changes no result makes no other."""

from dataclasses import replace

from atal_ray.config import AnnotationConfig, ReportConfig, ResourceConfig
from atal_ray.store.folder import Folder
from atal_ray.studies.paper.arm import Arm, full_masks, of_query
from atal_ray.studies.paper.catalogue import STUDIES
from atal_ray.studies.paper.scales import base_of
from atal_ray.studies.paper.units import digest_of, jobs_of, name_of_unit, named, passes_of, units_of

BASE = base_of("tiny")


def longer(total: int) -> object:
    return replace(BASE, budget=replace(BASE.budget, total=total))


def test_the_key_is_what_rounds_depend_on() -> None:
    same = (
        longer(8),
        replace(BASE, resources=ResourceConfig(query_actors=3)),
        replace(BASE, report=ReportConfig(image_scores=True)),
        replace(BASE, annotation=AnnotationConfig(wait=True)),
    )
    assert {digest_of(one) for one in same} == {digest_of(BASE)}
    others = (
        of_query(BASE, strategy="top"),
        replace(BASE, budget=replace(BASE.budget, per_round=1)),
        replace(BASE, train=replace(BASE.train, epochs=4)),
        replace(BASE, data=replace(BASE.data, limit=7)),
    )
    assert digest_of(BASE) not in {digest_of(one) for one in others}
    assert name_of_unit(full_masks(BASE)).startswith("full-")


def test_arms_that_differ_in_the_budget_alone_are_one_campaign() -> None:
    units = units_of([Arm("a", longer(8), (8,)), Arm("b", BASE, (4,))], range(2))
    assert [unit.config.budget.total for unit in units.values()] == [8, 8]
    assert [unit.config.seed for unit in units.values()] == [0, 1]


def test_passes_count_a_shared_first_round_once() -> None:
    arms = [Arm("a", BASE), Arm("b", of_query(BASE, strategy="top")), Arm("c", full_masks(BASE))]
    epochs = BASE.train.epochs
    assert passes_of(units_of(arms[:1], range(1))) == 2 * epochs
    assert passes_of(units_of(arms[:2], range(1))) == 3 * epochs
    assert passes_of(units_of(arms, range(3))) == 3 * (3 * epochs + epochs)


def test_studies_share_what_they_can() -> None:
    names = ("fig7", "table4", "fig8", "table1")
    arms = {name: STUDIES[name].arms(base_of("paper"), ()) for name in names}
    apart = sum(passes_of(units_of(found, range(1))) for found in arms.values())
    together = passes_of(units_of([arm for found in arms.values() for arm in found], range(1)))
    assert together < 0.9 * apart
    first = {name: units_of(found, range(1)) for name, found in arms.items()}
    assert len(first["fig8"].keys() - first["fig7"].keys()) == 1, "ATAL is there already"


def test_jobs_go_on_from_a_first_round_that_several_share(tmp_path) -> None:
    root = Folder(str(tmp_path))
    units = units_of([Arm("a", BASE), Arm("b", of_query(BASE, strategy="top"))], range(1))
    jobs = jobs_of(root, units)
    (first,) = jobs.shared
    assert first.config.rounds == 1
    assert all(job.source == first.campaign for job in jobs.trials)
    assert all(job.config.report.image_scores for job in jobs)
    one = jobs.trials[0]
    one.campaign.round(0).write_json("metrics.json", {})  # as if it had been run by itself before
    again = jobs_of(root, units)
    assert not again.shared
    assert [job.source for job in again.trials] == [None, one.campaign]


def test_data_and_weights_may_be_moved() -> None:
    def at(root: str, data: str = "DUTS-TR", weights: str = "resnet50.pth") -> str:
        of = replace(BASE.data, train=f"{root}/{data}", subset=f"{root}/ids.txt")
        network = replace(BASE.network, weights=f"{root}/{weights}")
        return digest_of(replace(BASE, data=of, network=network))

    assert at("/disk") == at("s3://bucket/data")
    assert named("s3://bucket/DUTS-TR?endpoint_override=host:9000&tls_ca_file_path=/etc/ca.pem") == "DUTS-TR"
    assert at("/disk") != at("/disk", data="MSRA-B")
    assert at("/disk") != at("/disk", weights="other.pth")
