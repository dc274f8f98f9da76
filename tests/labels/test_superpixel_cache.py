from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atal_ray.config import RegionConfig
from atal_ray.data.images import read_image
from atal_ray.data.manifest import build_manifest
from atal_ray.data.record import Record, records
from atal_ray.errors import CampaignError
from atal_ray.labels import superpixel_cache as cache
from atal_ray.labels.superpixel_cache import SuperpixelCache
from atal_ray.labels.superpixels import superpixels
from atal_ray.store.folder import Folder


@pytest.fixture
def record(synth_folder: Path) -> Record:
    return records(build_manifest(synth_folder).table, synth_folder)[0]


@pytest.fixture
def cached(tmp_path: Path) -> SuperpixelCache:
    return SuperpixelCache(Folder(str(tmp_path / "superpixels")), RegionConfig())


def test_a_map_is_made_once_and_comes_back_equal(
    record: Record, cached: SuperpixelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = superpixels(read_image(record.image), RegionConfig())
    made = cached.get(record)
    monkeypatch.setattr(cache, "cut", lambda *_: pytest.fail("made a second time"))
    again = cached.get(record)
    for found in (made, again):
        assert np.array_equal(found, expected)
        assert found.dtype == np.int32


def test_pixels_at_hand_are_used_and_not_read_again(
    record: Record, cached: SuperpixelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = read_image(record.image)
    monkeypatch.setattr(Record, "read_image", lambda *_: pytest.fail("read a second time"))
    assert np.array_equal(cached.get(record, image), superpixels(image, RegionConfig()))


def test_two_writers_write_equal_bytes(record: Record, cached: SuperpixelCache, tmp_path: Path) -> None:
    other = SuperpixelCache(Folder(str(tmp_path / "other")), RegionConfig())
    cached.get(record)
    other.get(record)
    name = f"{record.image_id}.png"
    assert cached.folder.names() == other.folder.names() == [name]
    assert cached.folder.read_bytes(name) == other.folder.read_bytes(name)


def test_a_map_beyond_16_bits_is_made_again_and_not_kept(
    record: Record, cached: SuperpixelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (record.height, record.width)
    large = 60_000 + np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    monkeypatch.setattr(cache, "cut", lambda *_: large)
    assert np.array_equal(cached.get(record), large)
    assert cached.folder.names() == []


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.6, 0.99])
def test_a_damaged_file_is_named(record: Record, cached: SuperpixelCache, keep: float) -> None:
    cached.get(record)
    name = f"{record.image_id}.png"
    data = cached.folder.read_bytes(name)
    cached.folder.write_bytes(name, data[: int(keep * len(data))])
    with pytest.raises(
        CampaignError, match=rf"superpixels/{record.image_id}\.png is damaged: delete it and start again"
    ):
        cached.get(record)


def test_a_shared_folder_keeps_images_of_one_name_apart(record: Record, tmp_path: Path) -> None:
    shared = SuperpixelCache(Folder(str(tmp_path / "shared")), RegionConfig(), by_digest=True)
    other = replace(record, image_digest=bytes(16))
    shared.get(record)
    shared.get(other, np.zeros((record.height, record.width, 3), np.uint8))
    assert shared.folder.names() == sorted([f"{record.image_digest.hex()}.png", f"{'00' * 16}.png"])


def test_a_map_of_another_image_is_named(record: Record, cached: SuperpixelCache) -> None:
    other = replace(record, image_id="other", width=record.width + 1)
    cached.get(record)
    cached.folder.write_bytes("other.png", cached.folder.read_bytes(f"{record.image_id}.png"))
    with pytest.raises(CampaignError, match=r"other\.png is damaged"):
        cached.get(other)
