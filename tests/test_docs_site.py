"""The site has every page, and every folder of the package in its reference."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {path.parent.name for path in (ROOT / "atal_ray").glob("*/__init__.py")}
SITE: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def pages(entries: list[Any]) -> list[str]:
    """The files that a navigation names, in order."""
    found: list[str] = []
    for entry in entries:
        target = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found += pages(target) if isinstance(target, list) else [target]
    return found


def test_every_page_is_in_the_navigation() -> None:
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    outside = {"index.md", "cluster.md", "contributing.md", "changelog.md"}
    assert set(pages(SITE["nav"])) == written | outside


def test_every_folder_has_its_reference() -> None:
    texts = {path.stem: path.read_text() for path in (ROOT / "docs/reference").glob("*.md")}
    assert set(texts) - {"index"} == FOLDERS
    assert all(f"::: atal_ray.{name}\n" in texts[name] for name in FOLDERS)


def test_nothing_is_fetched_by_a_reader() -> None:
    assert SITE["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css", "repo_url"} & set(SITE)


def test_the_reference_is_listed_lowest_first() -> None:
    """In the order of the import contracts, so that a reader meets nothing before what it rests on."""
    order = [Path(name).stem for name in pages(SITE["nav"]) if name.startswith("reference/")]
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = {
        name: -row for row, layer in enumerate(contract["layers"]) for name in re.findall(r"\w+", layer)
    }
    assert order[0] == "index"
    heights = [layers[name] for name in order[1:]]
    assert heights == sorted(heights)


def test_files_that_pages_name_are_there() -> None:
    named = {
        (page.name, name)
        for page in [ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
        for name in re.findall(r"`([\w/]+/\w+\.py)`", page.read_text())
    }
    assert len(named) > 10
    assert not [
        pair for pair in named if not any((top / pair[1]).is_file() for top in (ROOT, ROOT / "atal_ray"))
    ]
