"""Which form of the step runs where, and what happens when a fast one does not work."""

import copy
from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from atal_ray import networks
from atal_ray.config import NetworkConfig, TrainConfig
from atal_ray.training import fast_step
from atal_ray.training.fast_step import WithFallback, build_step
from atal_ray.training.step import (
    build_optimizer,
    load_optimizer_state,
    optimizer_state,
    set_learning_rate,
    train_step,
)

PLAN = TrainConfig()


@pytest.fixture
def small() -> networks.SaliencyNetwork:
    torch.manual_seed(0)
    return networks.build(NetworkConfig(name="f3net-small")).train()


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=draw, dtype=torch.uint8)
    return images, (images[:, 0] > 128).to(torch.uint8)


class Reads(TorchDispatchMode):
    """Counts the times that a number is read from a tensor, for which the host would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_a_step_reads_no_number(small, batch):
    step = build_step(small, small, build_optimizer(small, PLAN), PLAN)
    with Reads() as reads:
        loss = step(*batch)
    assert reads.count == 0
    with Reads() as reads:
        float(loss)
    assert reads.count == 1


def test_on_a_cpu_the_step_is_the_plain_one(small):
    step = build_step(small, small, build_optimizer(small, PLAN), PLAN)
    assert isinstance(step, partial)
    assert step.func is train_step


@pytest.mark.slow
def test_a_compiled_step_takes_the_same_way(small, batch):
    twin = copy.deepcopy(small)
    plain = build_step(small, small, build_optimizer(small, PLAN), PLAN)
    recipe = TrainConfig(compile=True)
    compiled = build_step(twin, twin, build_optimizer(twin, recipe), recipe)
    compiled.fast.keywords["loss_of"] = torch.compile(train_loss(), backend="eager", dynamic=False)
    for _ in range(3):
        assert float(compiled(*batch)) == pytest.approx(float(plain(*batch)), rel=1e-5)
    assert compiled.worked


def train_loss():
    from atal_ray.training.step import loss_of

    return loss_of


@pytest.mark.slow
def test_the_compiler_itself_takes_the_same_way(small, batch):
    twin = copy.deepcopy(small)
    plain = build_step(small, small, build_optimizer(small, PLAN), PLAN)
    recipe = TrainConfig(compile=True)
    compiled = build_step(twin, twin, build_optimizer(twin, recipe), recipe)
    for tolerance in (
        1e-5,
        1e-3,
    ):  # a step multiplies what rounding does, as planar and channels-last show too
        assert float(compiled(*batch)) == pytest.approx(float(plain(*batch)), rel=tolerance)
    assert compiled.worked


def test_without_a_compiler_the_training_goes_on_with_a_warning(small, batch, monkeypatch, caplog):
    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("Failed to find C compiler\nand a long trace")

    monkeypatch.setattr(fast_step, "compiled_loss", lambda: broken)
    twin = copy.deepcopy(small)
    recipe = TrainConfig(compile=True)
    step = build_step(small, small, build_optimizer(small, recipe), recipe)
    plain = build_step(twin, twin, build_optimizer(twin, PLAN), PLAN)
    assert [float(step(*batch)) for _ in range(3)] == [float(plain(*batch)) for _ in range(3)]
    assert [record.getMessage() for record in caplog.records] == [
        "train.compile does not work here, going on without: RuntimeError: Failed to find C compiler"
    ]


def test_a_fast_step_that_has_worked_does_not_hide_its_errors():
    answers = iter([torch.tensor(1.0)])
    step = WithFallback(lambda *_: next(answers), lambda *_: torch.tensor(2.0), "train.compile")
    assert float(step(torch.empty(0), torch.empty(0))) == 1
    with pytest.raises(StopIteration):
        step(torch.empty(0), torch.empty(0))


def test_rates_beside_the_parameters_follow_the_schedule(small):
    optimizer = build_optimizer(small, PLAN)
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]))
    tensors = [group["lr"] for group in optimizer.param_groups]
    set_learning_rate(optimizer, 0.02)
    assert [group["lr"] for group in optimizer.param_groups] == tensors
    assert [float(rate) for rate in tensors] == pytest.approx(
        [0.02 * group["scale"] for group in optimizer.param_groups]
    )
    assert all(isinstance(group["lr"], float) for group in optimizer_state(optimizer)["param_groups"])


def test_a_state_goes_from_one_memory_format_to_another(small, batch):
    twin = copy.deepcopy(small).to(memory_format=torch.channels_last)
    first, second = build_optimizer(small, PLAN), build_optimizer(twin, PLAN)
    images, targets = batch
    train_step(small, small, first, images, targets, PLAN)
    twin.load_state_dict(small.state_dict())
    load_optimizer_state(second, optimizer_state(first))
    for parameter, mine in zip(small.parameters(), twin.parameters(), strict=True):
        momentum = second.state[mine]["momentum_buffer"]
        assert momentum.stride() == mine.stride()
        assert torch.equal(momentum, first.state[parameter]["momentum_buffer"])
    again = optimizer_state(second)["state"]
    assert all(one["momentum_buffer"].is_contiguous() for one in again.values())
