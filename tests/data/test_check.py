from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from picture_files import photo, square
from PIL import ExifTags, Image

from atal_ray.data.check import CheckReport, Finding, check_folder
from atal_ray.data.manifest import build_manifest
from atal_ray.errors import DataError
from atal_ray.store.location import Location

Writer = Callable[..., Path]
STEMS = [f"s{index}" for index in range(9)]
SQUARE = np.pad(np.full((10, 10), 255, np.uint8), ((4, 10), (8, 14)))


def kinds(report: CheckReport) -> dict[tuple[str, str], str]:
    """The findings, without those that the fixture's images are small."""
    return {
        (finding.file, finding.kind): finding.severity
        for finding in report.findings
        if finding.kind != "small image" or "32x24 pixels" not in finding.reason
    }


def test_a_clean_folder(dataset: Writer, put: Writer) -> None:
    root = dataset()
    for stem in "abc":  # large enough
        put(f"images/{stem}.jpg", photo(64, 80))
        put(f"masks/{stem}.png", square(64, 80))
    report = check_folder(root)
    assert (report.ok, report.images, report.masks, report.findings) == (True, 3, 3, ())
    assert "No defects found" in report.render()


def test_every_defect_is_found_by_name(
    dataset: Writer, put: Writer, cut_short: Callable[[Path], None]
) -> None:
    root = dataset(stems=STEMS)
    (root / "masks" / "s0.png").unlink()
    (root / "images" / "s1.jpg").unlink()
    cut_short(root / "images" / "s2.jpg")
    cut_short(root / "masks" / "s3.png")
    put("masks/s4.png", SQUARE[:20])
    put("masks/s5.png", np.stack([SQUARE] * 3, axis=2))
    put("masks/s6.png", np.where(np.arange(32) % 16 == 0, 90, SQUARE).astype(np.uint8))
    put("masks/s7.png", np.zeros((24, 32), np.uint8))
    put("masks/s8.png", np.full((24, 32), 255, np.uint8))
    dataset("images", None, ["s8"], ".png")
    report = check_folder(root)
    assert not report.ok
    assert kinds(report) == {
        ("images/s0.jpg", "image without mask"): "error",
        ("masks/s1.png", "mask without image"): "error",
        ("images/s2.jpg", "unreadable"): "error",
        ("masks/s3.png", "unreadable"): "error",
        ("masks/s4.png", "size mismatch"): "error",
        ("masks/s5.png", "mask not binary"): "notice",
        ("masks/s6.png", "mask not binary"): "notice",
        ("masks/s7.png", "empty mask"): "warning",
        ("masks/s8.png", "full mask"): "warning",
        ("images/s8.png", "duplicate stem"): "error",
    }
    reasons = {finding.file: finding.reason for finding in report.findings}
    assert reasons["masks/s4.png"] == "is 32x20 pixels, but its image is 32x24"
    assert reasons["masks/s5.png"] == "has 3 channels and 0 grey pixels of 768"
    assert reasons["masks/s6.png"] == "has 1 channel and 48 grey pixels of 768"
    text = report.render()
    for finding in report.findings:
        assert f"  {finding.file} {finding.reason}" in text
    assert "6 errors" in text


def test_a_photograph_among_the_masks_is_a_warning(dataset: Writer, put: Writer) -> None:
    root = dataset()
    put("masks/b.png", np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
    report = check_folder(root)
    assert kinds(report) == {("masks/b.png", "mostly grey mask"): "warning"}
    assert report.ok
    assert "No errors" in report.render()


def with_orientation(path: Path, orientation: int) -> None:
    """Store an image again with an EXIF orientation."""
    image = Image.open(path)
    exif = image.getexif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(path, exif=exif)


def test_what_will_matter_later_is_said_by_name(dataset: Writer, put: Writer, tmp_path: Path) -> None:
    root = dataset(mask=None, stems=["plain"], image="set") / "set"
    put("set/plain.jpg", photo(80, 96))
    for stem, orientation in (("upright", 1), ("right", 6), ("upside", 3)):
        with_orientation(put(f"set/{stem}.jpg", photo(80, 96)), orientation)
    put("set/tiny.png", photo(80, 63))
    put("set/long.png", photo(64, 260))
    put("set/alpha.png", np.dstack([photo(80, 96), np.full((80, 96), 9, np.uint8)]))
    put("set/deep.png", np.arange(80 * 96, dtype=np.uint16).reshape(80, 96))
    Image.fromarray(photo(80, 96)).convert("CMYK").save(root / "press.jpg")
    palette = Image.fromarray(photo(80, 96)).convert("P")
    palette.save(root / "clear.png", transparency=3)
    Image.fromarray(photo(80, 96)).save(
        root / "pages.tif", save_all=True, append_images=[Image.fromarray(photo(80, 96))]
    )
    assert cv2.imwrite(str(root / "deep-colour.png"), photo(80, 96).astype(np.uint16) * 257)
    (root / "phone.heic").write_text("a format that is not read")
    (root / ".hidden").touch()
    assert cv2.imwrite(str(root / "deep-colour-tiff.tif"), photo(80, 96).astype(np.uint16) * 257)
    report = check_folder(root)
    assert report.ok
    assert kinds(report) == {
        ("right.jpg", "EXIF rotation"): "warning",
        ("upside.jpg", "EXIF rotation"): "warning",
        ("tiny.png", "small image"): "warning",
        ("long.png", "long image"): "warning",
        ("alpha.png", "alpha"): "notice",
        ("clear.png", "alpha"): "notice",
        ("deep.png", "deep"): "notice",
        ("deep-colour.png", "deep"): "notice",
        ("deep-colour-tiff.tif", "deep"): "notice",
        ("press.jpg", "CMYK"): "notice",
        ("pages.tif", "several pictures"): "notice",
        ("phone.heic", "passed over"): "notice",
    }
    text = report.render()
    assert "      2  warning   EXIF rotation" in text
    assert "  right.jpg is turned by 90 degrees clockwise by viewers (EXIF): label it as stored, or" in text
    assert "  long.png is 260x64 pixels: resized to a square, its long side shrinks 4.1 times as much" in text
    assert "No errors: the folder can be used as it is." in text


def test_an_image_that_takes_much_memory_is_named(
    dataset: Writer, put: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = dataset(mask=None, stems=["plain"], image="set") / "set"
    put("set/plain.jpg", photo(1024, 1024))
    monkeypatch.setattr("atal_ray.data.check.LARGE_PIXELS", 1_000_000)
    (found,) = check_folder(root).findings
    assert (found.kind, found.severity) == ("large image", "notice")
    assert found.reason == "is 1024x1024 pixels: 3 MiB in memory each time it is read"


def test_a_mask_that_was_drawn_on_the_turned_image_is_explained(dataset: Writer, put: Writer) -> None:
    root = dataset()
    with_orientation(root / "images" / "a.jpg", 8)
    put("masks/a.png", SQUARE.T)
    reasons = [finding.reason for finding in check_folder(root).findings if finding.kind == "size mismatch"]
    assert reasons == [
        "is 24x32 pixels, but its image is 32x24, which is turned by 90 degrees anticlockwise by viewers "
        "(EXIF): the mask was drawn on the turned image"
    ]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_spoils_no_image(dataset: Writer, put: Writer) -> None:
    root = dataset(mask=None)
    path = put("images/a.jpg", photo(80, 96))
    Image.open(path).save(path, exif=b"Exif\0\0MM\0*garbage")
    assert ("images/a.jpg", "unreadable") not in kinds(check_folder(root))


def test_render_names_twenty_of_a_kind_unless_full() -> None:
    findings = tuple(
        Finding("empty mask", "warning", f"masks/{index:02d}.png", "marks no pixel as salient")
        for index in range(25)
    )
    report = CheckReport(Location("set"), "images + masks", 25, 25, findings)
    short, full = report.render(), report.render(full=True)
    assert "masks/19.png" in short
    assert "masks/20.png" not in short
    assert "... and 5 more" in short
    assert "masks/24.png" in full
    assert "more" not in full


def test_what_check_passes_the_manifest_accepts(dataset: Writer) -> None:
    root = dataset()
    assert check_folder(root).ok
    assert len(build_manifest(root).table) == 3
    (root / "images" / "a.jpg").unlink()
    assert not check_folder(root).ok
    with pytest.raises(DataError):
        build_manifest(root)


def test_unlabelled_folder_has_no_missing_masks(dataset: Writer) -> None:
    report = check_folder(dataset("", None))
    assert (report.ok, report.images, report.masks, kinds(report)) == (True, 3, 0, {})
