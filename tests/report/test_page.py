import io
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from atal_ray.campaign.campaign_folder import COMMITTED, MANIFEST, METRICS, CampaignFolder
from atal_ray.config import Config
from atal_ray.data.manifest import noting
from atal_ray.data.record import MANIFEST_SCHEMA
from atal_ray.errors import CampaignError
from atal_ray.metrics.metric_names import METRIC_LABELS
from atal_ray.report.gallery_file import GALLERY, gallery_table, problem_row
from atal_ray.report.page import write_report
from atal_ray.runtime.throughput import THROUGHPUT, Throughput

Make = Callable[..., tuple[CampaignFolder, Config]]
SECTIONS = [
    "summary",
    "curves",
    "cost",
    "precision-recall",
    "training",
    "positions",
    "images",
    "test-images",
    "throughput",
    "errors",
    "configuration",
]
PLAIN, MAPS = 5, 5
"""Pictures of an image: itself, its mask, superpixels, region labels and points; and of what a round saw."""
VOID = {"meta", "img", "br", "link", "circle", "image", "use"}


class Page(HTMLParser):
    """The tags, attributes and text of a page whose tags must be balanced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    def values(self, *attributes: str) -> list[str]:
        return [str(of[name]) for _, of in self.tags for name in attributes if name in of]


def report(campaign: CampaignFolder, config: Config) -> Page:
    write_report(campaign, config)
    return Page(campaign.root.read_bytes("report.html").decode())


def test_a_finished_campaign(make: Make) -> None:
    campaign, config = make(tests=("easy", "$odd"))
    page = report(campaign, config)
    check_that_it_needs_nothing_else(page)
    assert [of["id"] for tag, of in page.tags if tag == "section"] == SECTIONS
    assert [of["href"] for tag, of in page.tags if tag == "a"] == [f"#{name}" for name in SECTIONS]
    assert page.count("img") == 4  # the four charts
    assert page.count("figure") == 4 * (PLAIN + 2 * MAPS) + 2 * 3 * 4  # image, mask and two predictions
    assert "Unfinished" not in page.text
    assert "Campaign report: campaign" in page.text
    assert f"Folder{campaign.root.uri}" in page.text.replace("\n", "")
    for name in ("easy", "$odd"):
        assert f"{name} (3 images)" in page.text
        metrics = campaign.round(1).read_json(METRICS)[name]
        for member in ("ensemble", "last"):
            for field in METRIC_LABELS:
                assert f"{metrics[member][field]:.4f}" in page.text
    assert "lost.jpg cannot be decoded" in page.text
    assert "only 0 of 1 points asked" in page.text
    assert "top_percent: 10" in page.text
    assert "No query left figures." in page.text


def check_that_it_needs_nothing_else(page: Page) -> None:
    addresses = page.values("src", "href", "xlink:href", "srcset", "data", "poster", "action")
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "embed"})
    anchors = set(page.values("id"))
    assert {address[1:] for address in addresses if address.startswith("#")} <= anchors
    pictures = [
        address.removeprefix("data:").split(";base64,")
        for address in addresses
        if address.startswith("data:")
    ]
    for kind, data in pictures:
        if kind == "image/png":
            Image.open(io.BytesIO(b64decode(data))).verify()
        else:
            assert ElementTree.fromstring(b64decode(data)).tag.endswith("svg")
    assert {kind for kind, _ in pictures} == {"image/png", "image/svg+xml"}


@pytest.mark.usefixtures("quick")
def test_throughput_is_shown_and_is_no_part_of_a_committed_round(make: Make) -> None:
    campaign, config = make()
    figures = Throughput(actors=2, images=40, elapsed=10, seconds={"loading": 4.0, "scoring": 16.0})
    campaign.round(0).write_json(THROUGHPUT, figures.to_json())
    page = report(campaign, config)
    assert "images/s a worker" in page.text
    assert "No query left figures." not in page.text
    assert THROUGHPUT not in campaign.round(0).read_json(COMMITTED)


@pytest.mark.usefixtures("quick")
def test_names_are_escaped(make: Make) -> None:
    evil = "<script>alert(1)<b onclick='x'>\""
    campaign, config = make(rename=evil, tests=("<img src=x>",))
    page = report(campaign, config)
    assert page.count("script") == 0
    assert page.count("b") == 0
    assert "x" not in page.values("src", "onclick")
    assert evil in page.text
    assert "<img src=x> (3 images)" in page.text


@pytest.mark.usefixtures("quick")
def test_an_unfinished_campaign_shows_what_is_committed(make: Make) -> None:
    campaign, config = make(rounds=1)
    page = report(campaign, config)
    assert "Unfinished: 1 of 2 rounds is committed" in page.text
    assert page.count("figure") == 4 * (PLAIN + MAPS) + 3 * 3
    assert "2 of 3" in page.text  # points an image


@pytest.mark.usefixtures("quick")
def test_a_campaign_without_a_round(make: Make) -> None:
    page = report(*make(rounds=0))
    assert "Unfinished: 0 of 2 rounds are committed" in page.text
    assert "No round is committed yet" in page.text
    assert page.count("img") == 0
    assert page.count("figure") == 4 * 4  # image, mask, superpixels and region labels of no point


@pytest.mark.usefixtures("quick")
def test_full_masks_have_no_points(make: Make) -> None:
    page = report(*make(rounds=1, labels="dense"))
    assert "fully supervised" in page.text
    assert "there are no points" in page.text
    assert "Unfinished" not in page.text
    assert "Region labels: 100.0 % of the pixels, 100.0 % of them as in the mask" in page.text


@pytest.mark.usefixtures("quick")
def test_no_test_set(make: Make) -> None:
    page = report(*make(tests=()))
    assert "No test set was given" in page.text
    assert page.count("img") == 2  # training and positions


@pytest.mark.usefixtures("quick")
def test_points_alone(make: Make) -> None:
    page = report(*make(labels="none"))
    assert page.count("figure") == 4 * (PLAIN - 2 + 2 * MAPS) + 3 * 4  # no superpixels, no region labels


@pytest.mark.usefixtures("quick")
def test_an_image_that_cannot_be_read_is_named(make: Make, tmp_path: Path) -> None:
    campaign, config = make()
    (tmp_path / "images/images/scene-0001.jpg").write_bytes(b"no picture")
    Image.new("RGB", (9, 9)).save(tmp_path / "images/images/scene-0003.jpg")
    page = report(campaign, config)
    for name in ("scene-0001", "scene-0003"):
        assert f"{name}.jpg is not the file that the campaign began with" in page.text
    assert page.count("figure") == 2 * (PLAIN + 2 * MAPS) + 3 * 4


@pytest.mark.usefixtures("quick")
def test_maps_that_are_missing_are_named(make: Make) -> None:
    campaign, config = make()
    rows = campaign.round(1).read_table(GALLERY).to_pylist()
    rows[0] = problem_row(rows[0]["image_id"], "the <disk> was full")
    campaign.round(1).write_table(GALLERY, gallery_table(rows))
    page = report(campaign, config)
    assert "Without maps: the <disk> was full" in page.text
    assert page.count("figure") == 4 * (PLAIN + 2 * MAPS) - MAPS + 3 * 4
    campaign.round(1).remove(GALLERY)
    page = report(campaign, config)
    assert "The last round has no maps of these images: " in page.text
    assert page.count("figure") == 4 * (PLAIN + MAPS) + 3 * 4


def test_the_page_is_written_from_files_without_a_network() -> None:
    """In a process of its own: what other tests import stays out of it."""
    heavy = "[name for name in ('torch', 'ray') if name in sys.modules]"
    code = f"import sys, atal_ray.report.page; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("quick")
def test_a_changed_round_is_refused(make: Make) -> None:
    campaign, config = make()
    campaign.round(0).write_json(METRICS, {})
    with pytest.raises(CampaignError, match=r"metrics\.json was changed"):
        write_report(campaign, config)


@pytest.mark.usefixtures("quick")
def test_an_oracle_leak_is_the_first_thing_said(make: Make) -> None:
    campaign, config = make(labels="oracle_mask")
    table = campaign.root.read_table(MANIFEST)
    campaign.root.write_table(MANIFEST, table.cast(noting(MANIFEST_SCHEMA, 7)))
    page = report(campaign, replace(config, data=replace(config.data, limit=4)))
    warnings = [of for tag, of in page.tags if tag == "p" and of.get("class") == "notice warning"]
    assert len(warnings) == 1
    assert (
        page.text.index("Labels leak from the true mask")
        < page.text.index("A part of the data")
        < page.text.index("Summary")
    )


@pytest.mark.usefixtures("quick")
def test_every_round_shows_its_own_points_inside_the_picture(make: Make) -> None:
    """A dot on the border of an image lies in its picture, not over the name of the image above."""
    campaign, config = make()
    page = report(campaign, config)
    inside, box = 0, [0.0, 0.0, 0.0, 0.0]
    for tag, of in page.tags:
        if tag == "svg":
            box = [float(part) for part in str(of["viewbox"]).split()]
        if tag == "circle":
            x, y, r = (float(str(of[name])) for name in ("cx", "cy", "r"))
            assert box[0] <= x - r <= x + r <= box[0] + box[2]
            assert box[1] <= y - r <= y + r <= box[1] + box[3]
            inside += 1
    assert inside == 4 * (3 + 1)  # the points of each image, and the one that round 0 asked on its maps
    assert "overflow: visible" not in campaign.root.read_bytes("report.html").decode()


@pytest.mark.usefixtures("quick")
def test_nothing_is_said_to_be_left_out_where_nothing_was(make: Make) -> None:
    campaign, config = make()
    limited = replace(config, data=replace(config.data, limit=120, test_limit=60))
    assert "left out by" not in report(campaign, limited).text
    table = campaign.root.read_table(MANIFEST)
    campaign.root.write_table(MANIFEST, table.cast(noting(MANIFEST_SCHEMA, 1)))
    sentence = "1 image was left out by data.limit, data.test-limit."
    assert sentence in report(campaign, limited).text
