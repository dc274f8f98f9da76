"""Dot products of many candidates with one vector, by faiss or by NumPy."""

from collections.abc import Callable
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from atal_ray.config.resources import Index
from atal_ray.errors import ConfigError

Matrix = NDArray[np.float32]


def row_products(backend: Index) -> Callable[[Matrix, Matrix], Matrix]:
    """A function that returns x . v [N] for the rows x of a contiguous block [N, C] and a vector v [C].

    Raises:
        ConfigError: faiss is not installed.
    """
    if backend == "numpy":
        return np.vecdot
    faiss = load_faiss()

    def by_faiss(block: Matrix, vector: Matrix) -> Matrix:
        found = np.empty(len(block), np.float32)
        faiss.fvec_inner_products_ny(*map(faiss.swig_ptr, (found, vector, block)), len(vector), len(block))
        return found

    return by_faiss


def load_faiss() -> ModuleType:
    """The module faiss.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise ConfigError(
            "resources.index is faiss, which is not installed: install atal-ray[cpu] or atal-ray[gpu], "
            "or set resources.index to numpy"
        ) from error
    module: ModuleType = faiss
    return module
