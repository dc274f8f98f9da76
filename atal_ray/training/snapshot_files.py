"""What a snapshot is written as: three files that training goes on from after an interruption.

The workers in `runtime/` write them at the end of each cycle (`save`); `campaign/train.py` then keeps the
weights as snapshots/1.pt .. L.pt.
"""

import io
import json
from collections.abc import Callable
from typing import Any

import torch

from atal_ray.training.loop import TrainState

WEIGHTS, REST, LOG = "snapshot.pt", "rest.pt", "training.json"
"""Weights of the last snapshot; the optimiser and what else training depends on; the log of all epochs."""


def state_files(state: TrainState) -> dict[str, bytes]:
    """The files of a state by name, in the order in which they must be written.

    The log comes last: where it exists, the others are complete.
    """
    rest = {key: value for key, value in vars(state).items() if key != "network"}
    log = json.dumps({"epochs": state.log}).encode()
    return {WEIGHTS: _saved(state.network), REST: _saved(rest), LOG: log}


def read_state(read: Callable[[str], bytes]) -> TrainState:
    """The state whose files `read` returns by name; only tensors and plain values are unpickled.

    Raises:
        UnpicklingError: a file holds anything else, such as code.
    """
    return TrainState(_loaded(read(WEIGHTS)), **_loaded(read(REST)))


def _saved(value: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _loaded(data: bytes) -> dict[str, Any]:
    values: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    return values
