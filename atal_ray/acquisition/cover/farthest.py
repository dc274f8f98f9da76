"""The greedy choice of what is farthest from centres and from what was chosen before."""

from collections.abc import Callable

from atal_ray.acquisition.cover.distances import Array


def farthest(nearest: Array, squares_to: Callable[[int], Array], k: int) -> list[int]:
    """Up to k of N items, each the farthest from the centres and the items before; the first of equal ones.

    Args:
        nearest: squared distance of each item to its nearest centre [N]; infinite where there is none.
        squares_to: number of an item -> squared distance of each item to it [N].
        k: how many.
    """
    nearest, chosen = nearest.copy(), list[int]()
    for _ in range(min(k, len(nearest))):
        chosen.append(int(nearest.argmax()))
        nearest = nearest.clip(max=squares_to(chosen[-1]))
        nearest[chosen] = -1
    return chosen
