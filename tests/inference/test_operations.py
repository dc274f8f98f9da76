"""A traced network as plain data is the traced network, for any weights."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toy_network import Toy

from atal_ray.config import NetworkConfig
from atal_ray.inference import prepared
from atal_ray.inference.graph import trace
from atal_ray.inference.operations import Operations, WholeGraph, traced_operations
from atal_ray.inference.plain import Answer
from atal_ray.inference.prepared import prepare_snapshots
from atal_ray.inference.trace_files import TraceFiles
from atal_ray.networks import build
from atal_ray.networks.protocol import SaliencyNetwork

SIDE = 64
CPU = torch.device("cpu")
KEY = (Toy, "one structure", SIDE)


def network(seed: int) -> SaliencyNetwork:
    torch.manual_seed(seed)
    return build(NetworkConfig(name="toy_network:Toy")).eval().requires_grad_(False)


class WithTensor(nn.Module):
    """Reads a tensor that is neither a parameter nor a buffer."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * torch.tensor([1.0, 2.0, 3.0])[:, None, None], x


class CutInTwo(nn.Module):
    """Computes with the number of images."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.reshape(x.shape[0] * 3, 1, *x.shape[2:]), torch.zeros_like(x, dtype=torch.float64)


def exported(module: nn.Module) -> torch.fx.GraphModule:
    batch = torch.export.Dim("batch", min=1, max=1024)
    program = torch.export.export(module.eval(), (torch.rand(2, 3, 4, 4),), dynamic_shapes=({0: batch},))
    return program.module(check_guards=False)


@pytest.fixture(scope="module")
def operations() -> Operations:
    return Operations.of(trace(network(0), SIDE), Answer(network(0)))


@pytest.mark.parametrize("form", [lambda one: one, lambda one: Operations.from_json(one.to_json())])
def test_other_weights_give_what_their_network_gives(
    operations: Operations, form: Callable[[Operations], Operations]
) -> None:
    images = torch.rand(3, 3, SIDE, SIDE)
    for seed in (0, 1):
        plain = Answer(network(seed))
        with torch.no_grad():
            found, expected = form(operations).graph(plain)(images), plain(images)
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_the_network_stays_as_it_is(operations: Operations) -> None:
    one = network(0)
    kept = {name: (value, value.clone()) for name, value in one.state_dict(keep_vars=True).items()}
    operations.graph(Answer(one)).to(torch.float64)
    for name, value in one.state_dict(keep_vars=True).items():
        assert value is kept[name][0]
        assert value.dtype == kept[name][1].dtype
        assert torch.equal(value, kept[name][1])


def test_a_node_has_its_shape_without_the_images(operations: Operations) -> None:
    graph = operations.graph(Answer(network(0)))
    with torch.no_grad():
        features = network(0)(torch.rand(1, 3, SIDE, SIDE)).features
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    assert output.args[0][1].meta["shape"] == list(features.shape[1:])


def test_what_depends_on_the_number_of_images_and_on_types_keeps_its_form() -> None:
    module = CutInTwo()
    written = Operations.from_json(Operations.of(exported(module), module).to_json())
    for images in (torch.rand(2, 3, 4, 4), torch.rand(5, 3, 4, 4)):
        for found, expected in zip(written.graph(module)(images), module(images), strict=True):
            assert found.dtype == expected.dtype
            assert torch.equal(found, expected)


def test_tensors_of_its_own_are_kept_but_not_as_text() -> None:
    module, images = WithTensor(), torch.rand(2, 3, 4, 4)
    operations = Operations.of(exported(module), module)
    assert torch.equal(operations.graph(module)(images)[0], module(images)[0])
    with pytest.raises(ValueError, match="tensors of their own"):
        operations.to_json()


def test_what_has_no_name_is_refused(operations: Operations) -> None:
    graph = operations.graph(Answer(network(0)))
    graph.add_submodule("inner", nn.ReLU())
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    with graph.graph.inserting_before(output):
        graph.graph.call_module("inner", (output.args[0][0],))
    with pytest.raises(ValueError, match="call_module inner"):
        Operations.of(graph, Answer(network(0)))


def test_another_process_reads_a_trace_instead_of_making_it(
    operations: Operations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "job" / "traces"
    prepare_snapshots([network(0)], [{SIDE}], 1, "float32", CPU, traces=TraceFiles(folder))
    (file,) = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert json.loads(file.read_text()) == [*map(dict, operations.nodes)]
    monkeypatch.setattr(prepared, "trace", lambda *_: pytest.fail("traced again"))
    (fast,) = prepare_snapshots([network(1)], [{SIDE}], 1, "float32", CPU, traces=TraceFiles(folder))
    images = torch.rand(1, 3, SIDE, SIDE)
    with torch.no_grad():
        torch.testing.assert_close(fast(images).logits[0], network(1)(images).logits[0], rtol=1e-4, atol=1e-4)


def test_a_folder_that_cannot_be_written_costs_no_more_than_tracing(
    operations: Operations, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    traces = TraceFiles(tmp_path / "file" / "traces")
    traces[KEY] = operations
    assert traces[KEY] is operations
    assert KEY not in TraceFiles(tmp_path / "file" / "traces")


def test_a_folder_that_others_may_write_to_is_left_alone(operations: Operations, tmp_path: Path) -> None:
    TraceFiles(tmp_path / "traces")[KEY] = operations
    assert KEY in TraceFiles(tmp_path / "traces")
    (tmp_path / "traces").chmod(0o777)
    assert KEY not in TraceFiles(tmp_path / "traces")
    (tmp_path / "link").symlink_to(tmp_path / "traces")
    assert KEY not in TraceFiles(tmp_path / "link")


@pytest.mark.parametrize(
    "target",
    ["operator.attrgetter", "operator.call", "aten.conv2d", "aten.conv2d.default.__call__", "os.path.join"],
)
def test_a_file_names_operations_alone(operations: Operations, target: str) -> None:
    nodes = [
        {**node, "target": target} if node["op"] == "call_function" else node for node in operations.nodes
    ]
    with pytest.raises((ValueError, AttributeError)):
        Operations.from_json(json.dumps(nodes)).graph(Answer(network(0)))


def test_what_has_no_plain_form_is_kept_for_this_process(operations: Operations, tmp_path: Path) -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 1, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            with torch.autocast("cpu", torch.bfloat16):
                return self.layer(x), x

    module, other = Half().requires_grad_(False), Half().requires_grad_(False)
    kept = traced_operations(exported(module), module)
    assert isinstance(kept, WholeGraph)
    images = torch.rand(2, 3, 4, 4)
    for one in (module, other):
        assert torch.equal(kept.graph(one)(images)[0], one(images)[0])
    traces = TraceFiles(tmp_path / "traces")
    traces[KEY] = kept
    assert traces[KEY] is kept
    assert KEY not in TraceFiles(tmp_path / "traces")


def test_traces_are_told_apart_by_class_structure_and_side(operations: Operations, tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    TraceFiles(folder)[KEY] = operations
    others = [(SaliencyNetwork, *KEY[1:]), (Toy, "another", SIDE), (*KEY[:2], SIDE + 32)]
    assert [key in TraceFiles(folder) for key in (KEY, *others)] == [True, False, False, False]
