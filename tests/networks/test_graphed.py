"""Functions as CUDA graphs; what records and replays is pretended."""

from typing import Any

import pytest
import torch
from torch import Tensor

from atal_ray.networks.graphed import Graphed


class Graph:
    """Stands in for a CUDA graph: a replay is counted."""

    def __init__(self) -> None:
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1

    def pool(self) -> str:
        return "pool"


class Recording:
    """Stands in for torch.cuda.graph, and notes how it was called."""

    made: list[tuple[Graph, Any, str]]

    def __init__(self, graph: Graph, pool: Any, capture_error_mode: str) -> None:
        self.made.append((graph, pool, capture_error_mode))

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Graph, Any, str]]:
    Recording.made = []
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Recording)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    return Recording.made


def test_each_shape_is_recorded_after_its_warm_up_and_then_replayed(
    made: list[tuple[Graph, Any, str]],
) -> None:
    calls = []

    def step(images: Tensor, targets: Tensor) -> Tensor:
        calls.append(tuple(images.shape))
        return images.float().sum()

    graphed = Graphed(step, "the step", warm_up=2)
    for side in (4, 4, 8, 4, 4, 4, 8, 8):
        graphed(torch.ones(1, 3, side, side), torch.ones(1, side, side))
    # Two as they are and one to record, of either side; what follows is replayed.
    assert calls == [(1, 3, side, side) for side in (4, 4, 8, 4, 8, 8)]
    assert [graph.replays for graph, *_ in made] == [3, 1]
    assert [pool for _, pool, _ in made] == [None, "pool"]
    assert {mode for *_, mode in made} == {"thread_local"}


def test_a_replay_is_given_the_values_of_its_call(made: list[tuple[Graph, Any, str]]) -> None:
    graphed = Graphed(lambda images: (images, images.dtype), "the estimate", warm_up=0)
    first, _ = graphed(torch.full((2,), 1.0))
    again, _ = graphed(torch.full((2,), 7.0))
    assert again is first, "the graph's own tensor"
    assert again.tolist() == [7, 7]
    assert len(made) == 1
    assert graphed(torch.full((2,), 7.0, dtype=torch.float64))[1] == torch.float64
    assert len(made) == 2


def test_where_another_shape_finds_no_memory_the_graphs_go(
    made: list[tuple[Graph, Any, str]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(not graphed.recorded))

    def work(images: Tensor) -> int:
        if len(images) == 5 and not emptied:
            raise torch.OutOfMemoryError
        return len(images)

    graphed: Graphed[int] = Graphed(work, "the estimate", warm_up=1, repeatable=True)
    assert [graphed(torch.ones(size)) for size in (4, 4, 4, 5, 5, 4)] == [4, 4, 4, 5, 5, 4]
    assert emptied == [True]
    assert not graphed.recorded
    assert ["needs its memory" in record.getMessage() for record in caplog.records] == [True]
    emptied.clear()
    alone: Graphed[int] = Graphed(work, "the estimate", repeatable=True)
    with pytest.raises(torch.OutOfMemoryError):
        alone(torch.ones(5))


def test_what_changes_more_than_its_result_is_not_called_again(made: list[tuple[Graph, Any, str]]) -> None:
    calls: list[int] = []

    def step(images: Tensor) -> int:
        calls.append(len(images))
        if len(images) == 5:
            raise torch.OutOfMemoryError
        return len(images)

    graphed: Graphed[int] = Graphed(step, "the step", warm_up=1)
    for _ in range(3):
        graphed(torch.ones(4))
    with pytest.raises(torch.OutOfMemoryError):
        graphed(torch.ones(5))
    assert calls == [4, 4, 5]


@pytest.mark.parametrize(
    "error",
    [RuntimeError("operation not permitted when stream is capturing"), torch.OutOfMemoryError("2 GiB")],
)
def test_what_cannot_be_recorded_runs_as_it_is(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(Recording):
        def __exit__(self, *_: object) -> None:
            raise error

    Recording.made = []
    stream, now = object(), list[object]()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Refusing)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "set_stream", now.append)
    graphed = Graphed(lambda images: images.sum(), "the estimate", warm_up=1)
    assert [float(graphed(torch.ones(1, 2))) for _ in range(4)] == [2.0] * 4
    assert [record.getMessage() for record in caplog.records] == [
        f"the estimate cannot be a CUDA graph, going on without: {type(error).__name__}: {error}"
    ]
    assert now == [stream]
