"""Learning rates of a round (CCLS, the cyclic cosine of Eq. 8), and the epochs that leave a snapshot."""

from math import cos, pi

from atal_ray.config.training import Schedule
from atal_ray.errors import ConfigError, counted

POLY_POWER = 0.9


def cyclic_cosine(i: int, total: int, cycles: int, lr_max: float, lr_min: float) -> float:
    """Cyclic cosine learning rate (Eq. 8), with the offset lr_min that the printed form leaves out.

    lr_min + (lr_max - lr_min) / 2 * (1 + cos(pi * ((i - 1) mod floor(I / L)) / floor(I / L)))

    Args:
        i: iteration, from 1.
        total: I, iterations of the training.
        cycles: L; a cycle takes floor(I / L) iterations, and a remainder starts one more.
        lr_max: rate at the first iteration of a cycle.
        lr_min: rate that a cycle falls towards.

    Raises:
        ConfigError: fewer iterations than cycles.
    """
    period = total // cycles
    if period < 1:
        raise ConfigError(
            f"{counted(total, 'training iteration')} cannot hold {counted(cycles, 'cycle')}: "
            "raise train.epochs or lower train.batch-size"
        )
    return lr_min + 0.5 * (lr_max - lr_min) * (1 + cos(pi * ((i - 1) % period) / period))


def triangular(epoch: int, epochs: int, lr_max: float) -> float:
    """F3Net's rate of an epoch (from 0): lr_max (1 - |2 (epoch + 1) / (epochs + 1) - 1|).

    It rises over half of the epochs and falls as far.
    """
    return lr_max * (1 - abs(2 * (epoch + 1) / (epochs + 1) - 1))


def poly(epoch: int, epochs: int, lr_max: float) -> float:
    """MINet's rate of an epoch (from 0): lr_max (1 - epoch / epochs)^0.9, above 0 even in the last epoch."""
    return float(lr_max * (1 - epoch / epochs) ** POLY_POWER)


def learning_rate(
    schedule: Schedule,
    iteration: int,
    iterations_per_epoch: int,
    epochs: int,
    cycles: int,
    lr_max: float,
    lr_min: float,
) -> float:
    """The rate of an iteration: Eq. 8, or `triangular` or `poly`, which are constant within an epoch.

    Args:
        schedule: "cyclic", "triangular" or "poly"; only "cyclic" has cycles and lr_min.
        iteration: from 1 to iterations_per_epoch * epochs.
        iterations_per_epoch: batches in one pass over the images.
        epochs: passes over the images.
        cycles: L of Eq. 8.
        lr_max: peak rate.
        lr_min: lowest rate.

    Raises:
        ConfigError: fewer iterations than cycles.
    """
    epoch = (iteration - 1) // iterations_per_epoch
    if schedule == "triangular":
        return triangular(epoch, epochs, lr_max)
    if schedule == "poly":
        return poly(epoch, epochs, lr_max)
    return cyclic_cosine(iteration, iterations_per_epoch * epochs, cycles, lr_max, lr_min)


def batches_per_epoch(images: int, batch_size: int, drop_last: bool) -> int:
    """Batches in one pass over the images; `drop_last` leaves a short last one out, unless it is alone.

    A single image that is left over joins the batch before it: a batch norm of one image learns nothing, and
    one of a single value is refused by PyTorch.
    """
    full, left = divmod(images, batch_size)
    return max(1, full) if drop_last or left == 1 else full + (left > 0)


def snapshot_epochs(epochs: int, cycles: int) -> tuple[int, ...]:
    """The last epoch (from 0) of each cycle, where the rate is lowest; `epochs` is a multiple of `cycles`."""
    return tuple(cycle * epochs // cycles - 1 for cycle in range(1, cycles + 1))
