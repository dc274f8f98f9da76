"""The state of a round's training as three small files: all that a training goes on from after an
interruption.
"""

import io
import json
from collections.abc import Callable
from typing import Any

import torch

from atal_ray.training.loop import TrainState

WEIGHTS, REST, LOG = "snapshot.pt", "rest.pt", "training.json"
"""The snapshot; the optimiser and what else the rest of the round depends on; the log of all epochs."""


def state_files(state: TrainState) -> dict[str, bytes]:
    """The files of a state by name, in the order in which they must be written: the log says that the others
    are whole.
    """
    rest = {
        "optimizer": state.optimizer,
        "epochs_done": state.epochs_done,
        "log": state.log,
        "probe": state.probe,
    }
    log = json.dumps({"epochs": state.log}).encode()
    return {WEIGHTS: _saved(state.network), REST: _saved(rest), LOG: log}


def read_state(read: Callable[[str], bytes]) -> TrainState:
    """The state whose files `read` returns by name; nothing but tensors and plain values is unpickled."""
    return TrainState(_loaded(read(WEIGHTS)), **_loaded(read(REST)))


def _saved(value: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _loaded(data: bytes) -> dict[str, Any]:
    values: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    return values
