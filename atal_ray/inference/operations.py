"""A traced network as plain data: its operations by name, without its weights."""

import copy
import json
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node

_OF_PYTHON = "operator."
"""Before the name of an operation of Python's own, on the number of images."""
_KNOWN = {
    *("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "pow", "getitem"),
    *("lt", "le", "gt", "ge", "eq", "ne"),
}
"""Those of them that may stand in a file; others could run anything."""
_KINDS = (torch.dtype, torch.layout, torch.memory_format)
"""Options that are names in `torch`."""


@dataclass(frozen=True)
class Operations:
    """What a module does, which other weights can be put into."""

    nodes: tuple[Mapping[str, Any], ...]
    """Kind, name, target, arguments and shape of each node, as JSON can hold them."""
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    """Tensors that the operations read and that are no part of the module."""

    @classmethod
    def of(cls, graph: GraphModule, module: nn.Module) -> "Operations":
        """The operations of a graph that was traced from a module.

        Raises:
            ValueError: it holds something that has no name, such as another graph.
        """
        nodes, constants = [], {}
        for node in graph.graph.nodes:
            if node.op == "get_attr" and _find(module, node.target) is None:
                constants[str(node.target)] = attrgetter(str(node.target))(graph)
            nodes.append(
                {
                    "op": node.op,
                    "name": node.name,
                    "target": _name_of(node),
                    "arguments": _plain(node.args),
                    "options": {key: _plain(value) for key, value in node.kwargs.items()},
                    "shape": _shape(node.meta.get("val")),
                }
            )
        return cls(tuple(nodes), constants)

    def graph(self, module: nn.Module) -> GraphModule:
        """A graph of these operations with the weights of a module of the same structure, whose tensors it
        shares; `meta["shape"]` of a node is its shape without the images.
        """
        graph, made, tensors = Graph(), dict[str, Node](), dict[str, Any]()
        for node in self.nodes:
            name, target, arguments = node["name"], node["target"], _restored(node["arguments"], made)
            options = {key: _restored(value, made) for key, value in node["options"].items()}
            if node["op"] == "get_attr":
                found = _find(module, target)
                tensors[target] = self.constants[target] if found is None else found.detach()
            elif node["op"] == "output":
                arguments = [tuple(arguments[0])]
            elif node["op"] == "call_function":
                target = _operation(target)
            made[name] = graph.create_node(node["op"], target, tuple(arguments), options, name)
            made[name].meta["shape"] = node["shape"]
        return GraphModule(tensors, graph)

    def to_json(self) -> str:
        """The operations as text; ValueError where they have constants."""
        if self.constants:
            raise ValueError("operations with tensors of their own are not kept as text")
        return json.dumps(self.nodes)

    @classmethod
    def from_json(cls, text: str) -> "Operations":
        """What `to_json` wrote."""
        return cls(tuple(json.loads(text)))


class WholeGraph:
    """A traced graph that has no form as plain data, such as one with a block of another precision; for one
    process.
    """

    def __init__(self, traced: GraphModule) -> None:
        self._traced = traced
        for node in traced.graph.nodes:
            node.meta["shape"] = _shape(node.meta.get("val"))

    def graph(self, module: nn.Module) -> GraphModule:
        """A copy with the weights of a module of the same structure."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of PyTorch about itself
            made = copy.deepcopy(self._traced)
        made.load_state_dict(module.state_dict(), strict=False)  # it lacks what feeds other logits
        return made

    def to_json(self) -> str:
        """ValueError: it has no such form."""
        raise ValueError("the graph is not kept as text")


def traced_operations(traced: GraphModule, module: nn.Module) -> "Operations | WholeGraph":
    """What a module does, as plain data where that can be."""
    try:
        return Operations.of(traced, module)
    except ValueError:
        return WholeGraph(traced)


def _find(module: nn.Module, name: Any) -> Tensor | None:
    """A parameter or buffer of a module; None where it has none of this name."""
    try:
        found = attrgetter(str(name))(module)
    except AttributeError:
        return None
    return found if isinstance(found, Tensor) else None


def _name_of(node: Node) -> str:
    target: Any = node.target
    name = str(getattr(target, "__name__", ""))
    if node.op in ("placeholder", "get_attr", "output"):
        return str(target)
    if node.op == "call_function" and isinstance(target, torch._ops.OpOverload):
        return str(target)
    if node.op == "call_function" and name in _KNOWN and getattr(operator, name) is target:
        return _OF_PYTHON + name
    raise ValueError(f"{node.op} {target} is no operation with a name")


def _operation(name: str) -> Callable[..., Any]:
    """The operation of a name; ValueError where it is none of PyTorch's, and not one of `_KNOWN`."""
    if name.startswith(_OF_PYTHON) and name.removeprefix(_OF_PYTHON) in _KNOWN:
        return getattr(operator, name.removeprefix(_OF_PYTHON))  # type: ignore[no-any-return]
    found = None
    if name.count(".") == 2:  # namespace, operation, overload
        found = attrgetter(name)(torch.ops)
    if not isinstance(found, torch._ops.OpOverload):
        raise ValueError(f"{name!r} is no operation")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Node):
        return {"node": value.name}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, _KINDS):
        return {"torch": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{value!r} has no plain form")


def _restored(value: Any, made: Mapping[str, Node]) -> Any:
    if isinstance(value, list):
        return [_restored(one, made) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, name),) = value.items()
    if kind == "node":
        return made[name]
    found = torch.device(name) if kind == "device" else getattr(torch, name)
    if not isinstance(found, (torch.device, *_KINDS)):
        raise ValueError(f"torch.{name} is no option")
    return found


def _shape(value: Any) -> list[int] | None:
    """The shape of a node's tensor without the images; None where a side depends on their number."""
    sides = list(value.shape[1:]) if isinstance(value, Tensor) else []
    return [int(side) for side in sides] if sides and all(isinstance(side, int) for side in sides) else None
