"""Random numbers that depend on what they are for, never on who draws them or when."""

from hashlib import blake2b

import numpy as np


def derive(*key: int | str) -> int:
    """A 64-bit seed from a key such as (seed, image_id, round), the same for equal keys on any machine."""
    text = "\x1f".join(f"{'str' if isinstance(part, str) else 'int'}:{part}" for part in key)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def rng(*key: int | str) -> np.random.Generator:
    """A NumPy generator seeded by `derive(*key)`."""
    return np.random.Generator(np.random.PCG64(derive(*key)))
