"""The health of a dataset folder: every file is read, and every defect is reported by name."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from atal_ray.data.images import MaskInfo, read_image, read_mask_info
from atal_ray.data.layout import FolderListing, find_pairs
from atal_ray.data.manifest import Track, in_threads, untracked
from atal_ray.errors import DataError
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
        lines = [f"{self.folder}: layout {self.layout}, {self.images} images, {self.masks} masks"]
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
        repair = f"{len(kinds)} error{'s' * (len(kinds) > 1)}: repair these files"
        return repair + (
            "; files of one stem must be renamed."
            if "duplicate stem" in kinds
            else " or pass --data.on-bad-file skip."
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
    findings.sort(key=lambda finding: (finding.kind, finding.file))
    return CheckReport(listing.root, listing.layout, len(listing.images), len(listing.masks), tuple(findings))


def _examine(listing: FolderListing, image_id: str) -> list[Finding]:
    """The defects of one image and its mask."""
    image, mask = listing.images.get(image_id), listing.masks.get(image_id)
    findings: list[Finding] = []
    size: tuple[int, ...] | None = None
    if image is not None:
        try:
            size = read_image(image).shape[:2]
        except DataError as error:
            findings.append(_unreadable(listing, image, error))
    if mask is not None:
        try:
            findings += _examine_mask(mask.relative_to(listing.root), read_mask_info(mask), size)
        except DataError as error:
            findings.append(_unreadable(listing, mask, error))
    return findings


def _examine_mask(file: str, info: MaskInfo, size: tuple[int, ...] | None) -> list[Finding]:
    findings = []
    (height, width), pixels = info.mask.shape, info.mask.size
    if size is not None and size != (height, width):
        reason = f"is {width}x{height} pixels, but its image is {size[1]}x{size[0]}"
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
