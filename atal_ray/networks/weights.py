"""Weights from files, checked before they are loaded; the pretrained backbone."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from atal_ray.errors import CheckpointError, counted
from atal_ray.networks.protocol import SaliencyNetwork

RESNET50_URL = "https://download.pytorch.org/models/resnet50-19c8e357.pth"
RESNET50_SHA256 = "19c8e357"  # the first digits; PyTorch puts them into the file's name
COUNTER = "num_batches_tracked"  # unused where batch norms have a momentum, and absent from older files
SHOWN = 3


def load_backbone(network: SaliencyNetwork, path: str | Path) -> None:
    """Load ImageNet weights into the backbone of a network, all of them or (on an error) none.

    Args:
        network: one with a `backbone_prefix`.
        path: state dict under torchvision's names; its classifier `fc.*` is left out.

    Raises:
        CheckpointError: for a file that is missing, no state dict, or of another backbone.
    """
    state = {
        key: value for key, value in read_state(Path(path), str(path)).items() if not key.startswith("fc.")
    }
    backbone = network.get_submodule(network.backbone_prefix.removesuffix("."))
    load_strictly(
        backbone, state, str(path), f"another network than the backbone of {type(network).__name__}"
    )


def fetch_resnet50(cache_dir: str | Path) -> Path:
    """Return PyTorch's published ResNet-50 weights (98 MB); downloads them if `cache_dir` has no intact copy.

    Raises:
        CheckpointError: where the download fails or its hash is wrong; the folder then holds no partial file.
    """
    target = Path(cache_dir) / RESNET50_URL.rpartition("/")[2]
    if target.is_file() and _sha256(target).startswith(RESNET50_SHA256):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(RESNET50_URL, str(target), hash_prefix=RESNET50_SHA256, progress=False)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{RESNET50_URL} could not be downloaded to {target.parent} ({error}): "
            'give the file in network.weights, or "random" to start without pretrained weights'
        ) from error
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_state(source: Path | bytes, name: str) -> dict[str, Tensor]:
    """The tensors of a state dict by their keys.

    Args:
        source: file, or its bytes; nothing but tensors is unpickled, so no code of the file can run.
        name: what to call it in an error.

    Raises:
        CheckpointError: for a file that is missing, damaged, or no state dict.
    """
    if isinstance(source, Path) and not source.is_file():
        raise CheckpointError(f"{name}: no such file, expected a PyTorch state dict")
    try:
        loaded = torch.load(
            io.BytesIO(source) if isinstance(source, bytes) else source, map_location="cpu", weights_only=True
        )
    except Exception as error:  # the bytes of a damaged file can make the unpickler raise anything
        raise CheckpointError(
            f"{name} cannot be read as a PyTorch state dict ({type(error).__name__}): "
            "it is damaged, or holds more than tensors"
        ) from error
    if (
        not isinstance(loaded, Mapping)
        or not loaded
        or not all(isinstance(value, Tensor) for value in loaded.values())
    ):
        raise CheckpointError(
            f"{name} is not a PyTorch state dict: it holds {_describe(loaded)}, expected tensors by name"
        )
    # A plain dict: without the version that state dicts carry, torch fills in absent counters.
    return {str(key): value for key, value in loaded.items()}


def _describe(loaded: object) -> str:
    if isinstance(loaded, Mapping):
        return f"a dict with the keys {', '.join(str(key) for key in list(loaded)[:SHOWN]) or '(none)'}"
    return f"a {type(loaded).__name__}"


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], name: str, other: str) -> None:
    """Load a state dict whose keys and shapes must be those of the module; on an error nothing is loaded.

    Args:
        module: what is loaded.
        state: its tensors.
        name: what to call the state in an error.
        other: what to say that it belongs to, where it does not fit.

    Raises:
        CheckpointError: with the keys or shapes that differ.
    """
    expected = module.state_dict()
    missing = [key for key in expected if key not in state and not key.endswith(COUNTER)]
    unknown = [key for key in state if key not in expected]
    if missing or unknown:
        parts = [_count(missing, "missing"), _count(unknown, "unknown")]
        raise CheckpointError(f"{name} holds weights of {other}: {'; '.join(part for part in parts if part)}")
    wrong = [key for key in state if state[key].shape != expected[key].shape]
    if wrong:
        shapes = ", ".join(
            f"{key} is {list(state[key].shape)}, expected {list(expected[key].shape)}"
            for key in wrong[:SHOWN]
        )
        differ = counted(len(wrong), "shape differs", "shapes differ")
        raise CheckpointError(f"{name} holds weights of {other}: {differ}, first {shapes}")
    module.load_state_dict(state)


def _count(keys: list[str], adjective: str) -> str:
    if not keys:
        return ""
    return f"{counted(len(keys), 'key is', 'keys are')} {adjective}, first {', '.join(keys[:SHOWN])}"
