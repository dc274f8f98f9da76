"""The health of a dataset folder: every file is read, and every defect is reported by name."""

from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from atal_ray.data.image_traits import LARGE_PIXELS, LONG_SIDE, SMALL_SIDE, ImageTraits, traits_of
from atal_ray.data.images import SUFFIXES, MaskInfo, opened, read_image, read_mask_info
from atal_ray.data.layout import FolderListing, find_pairs
from atal_ray.data.manifest import Track, in_threads, untracked
from atal_ray.errors import DataError, counted
from atal_ray.store.location import AnyLocation, Location

Severity = Literal["error", "warning", "notice"]

_MEANING = {
    "duplicate stem": "two files of one image id",
    "link outside": "links that leave the folder",
    "unusable name": "names that are no text",
    "image without mask": "images whose mask is missing",
    "mask without image": "masks whose image is missing",
    "unreadable": "files that cannot be decoded",
    "size mismatch": "masks of another size than their image",
    "mostly grey mask": "masks that may be pictures",
    "empty mask": "masks without a salient pixel",
    "full mask": "masks without a background pixel",
    "mask not binary": "masks normalised on reading (salient above 128 of 255)",
    "EXIF rotation": "images that viewers turn; points count in the pixels as stored",
    "small image": f"images with a side below {SMALL_SIDE} px",
    "long image": f"images more than {LONG_SIDE:g} times as long as wide",
    "large image": f"images of more than {LARGE_PIXELS // 10**6} million pixels",
    "CMYK": "images converted to RGB without their colour profile",
    "deep": "images of more than 8 bits a channel, scaled to 8",
    "alpha": "images whose transparency is dropped",
    "several pictures": "files of which only the first picture is read",
    "passed over": "other files beside the images and masks, which nothing reads",
}
_GREY_SHARE = 0.2  # grey edges stay far below; a photograph is far above
_NAMED = 20


@dataclass(frozen=True)
class Finding:
    """One defect of one file; `file` is relative to the folder and `reason` continues its name."""

    kind: str
    severity: Severity
    file: str
    reason: str


@dataclass(frozen=True)
class CheckReport:
    """What a folder holds and what is wrong with it."""

    folder: Location
    layout: str
    images: int
    masks: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether a campaign would accept the folder: no errors; warnings and notices are allowed."""
        return all(finding.severity != "error" for finding in self.findings)

    def render(self, full: bool = False) -> str:
        """The report for a terminal: counts by kind, then names, all of them or the first 20 of each kind."""
        held = f"{counted(self.images, 'image')}, {counted(self.masks, 'mask')}"
        lines = [f"{self.folder}: layout {self.layout}, {held}"]
        if not self.findings:
            return f"{lines[0]}\nNo defects found."
        counts = Counter((finding.kind, finding.severity) for finding in self.findings)
        ordered = sorted(counts, key=lambda key: list(_MEANING).index(key[0]))
        lines += ["", f"{'count':>7}  {'severity':8}  {'kind':18}  meaning"]
        lines += [
            f"{counts[kind, severity]:>7}  {severity:8}  {kind:18}  {_MEANING[kind]}"
            for kind, severity in ordered
        ]
        for kind, _ in ordered:
            named = [finding for finding in self.findings if finding.kind == kind]
            shown = named if full else named[:_NAMED]
            lines += ["", f"{kind}:", *(f"  {finding.file} {finding.reason}" for finding in shown)]
            if len(named) > len(shown):
                lines.append(f"  ... and {len(named) - len(shown)} more")
        return "\n".join([*lines, "", self._verdict()])

    def _verdict(self) -> str:
        kinds = [finding.kind for finding in self.findings if finding.severity == "error"]
        if not kinds:
            return "No errors: the folder can be used as it is."
        repair = f"{counted(len(kinds), 'error')}: repair these files"
        return repair + (
            "; files of one stem must be renamed."
            if "duplicate stem" in kinds
            else ", or leave them out: `atal run` takes --data.on-bad-file skip, `atal generate` "
            "--on-bad-file skip."
        )


def check_folder(folder: AnyLocation, track: Track = untracked) -> CheckReport:
    """Read every image and mask of a folder in any layout of `find_pairs`; `track` may show a progress bar.

    Raises:
        DataError: the folder is missing, holds no images, or can be read in more than one way.
    """
    listing = find_pairs(folder)
    findings = [Finding(problem.kind, "error", problem.file, problem.reason) for problem in listing.problems]
    image_ids = sorted(listing.images.keys() | listing.masks.keys())
    for found in in_threads(lambda image_id: _examine(listing, image_id), image_ids, track):
        findings += found
    findings += _passed_over(listing)
    findings.sort(key=lambda finding: (finding.kind, finding.file))
    return CheckReport(listing.root, listing.layout, len(listing.images), len(listing.masks), tuple(findings))


def _passed_over(listing: FolderListing) -> list[Finding]:
    """The files beside images and masks that are neither, such as photographs in another format."""
    folders = {file.parent for file in [*listing.images.values(), *listing.masks.values()]}
    formats = ", ".join(sorted(SUFFIXES))
    return [
        Finding("passed over", "notice", (folder / name).relative_to(listing.root), f"is none of {formats}")
        for folder in folders
        for name, is_folder in folder.entries()
        if not (is_folder or name.startswith(".") or PurePosixPath(name).suffix.lower() in SUFFIXES)
    ]


def _examine(listing: FolderListing, image_id: str) -> list[Finding]:
    """The defects of one image and its mask."""
    image, mask = listing.images.get(image_id), listing.masks.get(image_id)
    findings: list[Finding] = []
    size: tuple[int, ...] | None = None
    turned = ""
    if image is not None:
        try:
            with opened(image) as file:
                traits = traits_of(file)
            size, turned = read_image(image).shape[:2], traits.turned
            findings += _examine_traits(image.relative_to(listing.root), traits)
        except DataError as error:
            findings.append(_unreadable(listing, image, error))
    if mask is not None:
        try:
            findings += _examine_mask(mask.relative_to(listing.root), read_mask_info(mask), size, turned)
        except DataError as error:
            findings.append(_unreadable(listing, mask, error))
    return findings


def _examine_traits(file: str, traits: ImageTraits) -> list[Finding]:
    """What will matter later of an image that can be read."""
    found: list[tuple[str, Severity, str]] = []
    size = f"{traits.width}x{traits.height} pixels"
    if traits.turned:
        reason = f"{traits.turned} by viewers (EXIF): label it as stored, or store it upright first"
        found.append(("EXIF rotation", "warning", reason))
    if min(traits.width, traits.height) < SMALL_SIDE:
        found.append(("small image", "warning", f"is {size}: it is enlarged, and points lie close together"))
    if traits.ratio > LONG_SIDE:
        reason = f"is {size}: resized to a square, its long side shrinks {traits.ratio:.1f} times as much"
        found.append(("long image", "warning", f"{reason} as its short one"))
    if traits.width * traits.height > LARGE_PIXELS:
        mib = 3 * traits.width * traits.height / 2**20
        found.append(("large image", "notice", f"is {size}: {mib:.0f} MiB in memory each time it is read"))
    if traits.cmyk:
        found.append(("CMYK", "notice", "is CMYK: convert it where its colours matter"))
    if traits.deep:
        found.append(("deep", "notice", "has more than 8 bits a channel: convert it where the scale matters"))
    if traits.alpha:
        found.append(("alpha", "notice", "has transparency: what lies under it is seen"))
    if traits.frames > 1:
        found.append(("several pictures", "notice", f"holds {traits.frames} pictures"))
    return [Finding(kind, severity, file, reason) for kind, severity, reason in found]


def _examine_mask(file: str, info: MaskInfo, size: tuple[int, ...] | None, turned: str) -> list[Finding]:
    """What is wrong with a mask; `size` and `turned` are those of its image."""
    findings = []
    (height, width), pixels = info.mask.shape, info.mask.size
    if size is not None and size != (height, width):
        reason = f"is {width}x{height} pixels, but its image is {size[1]}x{size[0]}"
        if turned and size == (width, height):
            reason += f", which {turned} by viewers (EXIF): the mask was drawn on the turned image"
        findings.append(Finding("size mismatch", "error", file, reason))
    if info.grey_pixels > _GREY_SHARE * pixels:
        reason = f"is grey in {info.grey_pixels} of {pixels} pixels"
        findings.append(Finding("mostly grey mask", "warning", file, reason))
    elif info.normalised:
        channels = f"{info.channels} channel{'s' * (info.channels > 1)}"
        reason = f"has {channels} and {info.grey_pixels} grey pixels of {pixels}"
        findings.append(Finding("mask not binary", "notice", file, reason))
    if not info.mask.any():
        findings.append(Finding("empty mask", "warning", file, "marks no pixel as salient"))
    elif info.mask.all():
        findings.append(Finding("full mask", "warning", file, "marks every pixel as salient"))
    return findings


def _unreadable(listing: FolderListing, path: Location, error: DataError) -> Finding:
    return Finding("unreadable", "error", path.relative_to(listing.root), str(error).removeprefix(f"{path} "))
