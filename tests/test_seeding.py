import numpy as np

from atal_ray.seeding import derive, rng


def test_equal_keys_give_equal_seeds_on_any_machine() -> None:
    # Written down once: another value would change the points of every campaign.
    assert derive(0, "augment", 3, "ILSVRC2012_test_00000004") == 3192529930583636954
    assert derive() == 13020603013274838756


def test_every_part_and_its_type_and_place_count() -> None:
    numbers = [(), (0,), (1,), (1, 23), (12, 3), (123,)]
    texts = [("0",), ("a", "b"), ("ab",), ("a", "b", ""), ("b", "a")]
    seeds = {*(derive(*key) for key in numbers), *(derive(*key) for key in texts)}
    assert len(seeds) == len(numbers) + len(texts)


def test_seeds_use_all_64_bits() -> None:
    seeds = [derive("bits", number) for number in range(200)]
    assert max(seeds) < 2**64
    for bit in range(64):
        assert 60 < sum(seed >> bit & 1 for seed in seeds) < 140  # 100 +- 5.6 standard deviations


def test_generators_of_one_key_draw_alike_and_of_two_keys_apart() -> None:
    assert np.array_equal(rng(1, "x").random(50), rng(1, "x").random(50))
    first, second = rng(1, "image-1").random(2000), rng(1, "image-2").random(2000)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
