"""Each choice of the configuration is written down once; what implements it has an answer to each value."""

import ast
from collections import defaultdict
from dataclasses import fields
from pathlib import Path
from typing import get_args

import atal_ray
from atal_ray.acquisition.rds import FAST_COVERS, FLAT_COVERS
from atal_ray.config.query import Cover
from atal_ray.metrics.accumulator import Metrics
from atal_ray.studies.sweep.plan import Metric

ROOT = Path(atal_ray.__file__).parent


def choices_in(source: str) -> list[frozenset[str]]:
    """The values of every `Literal[...]` in a module."""
    return [
        frozenset(ast.unparse(value) for value in getattr(node.slice, "elts", [node.slice]))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).rpartition(".")[2] == "Literal"
    ]


def test_no_choice_is_written_twice() -> None:
    places = defaultdict(list)
    for module in sorted(ROOT.rglob("*.py")):
        for values in choices_in(module.read_text()):
            places[values].append(str(module.relative_to(ROOT)))
    assert len(places) > 20
    assert {values: found for values, found in places.items() if len(found) > 1} == {}


def test_a_second_definition_is_noticed_in_any_order() -> None:
    source = 'from typing import Literal\nA = Literal["x", "y"]\ndef f(a: "int", b: Literal["y", "x"]): ...\n'
    assert choices_in(source) == [frozenset({"'x'", "'y'"})] * 2


def test_every_cover_and_metric_can_be_computed() -> None:
    assert set(FAST_COVERS) == set(FLAT_COVERS) == set(get_args(Cover))
    assert set(get_args(Metric)) <= {field.name for field in fields(Metrics)}
