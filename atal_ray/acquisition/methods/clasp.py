"""ClaSP: power-noised entropy (Gaillochet, Desrosiers, Lombaert, 2023)."""

from atal_ray.acquisition.methods.method import Method


class Clasp(Method):
    """k pixels drawn with a chance in proportion to a power of their entropy.

    The original draws images; the noise is the same for pixels. One pass for an image. Setting:
    `query.power.beta`.
    """

    score = "entropy"
    strategy = "power"
