"""What the site takes from outside docs/: pages of the repository, and the files that pages link to.

A page keeps the links that it has in the repository. Those to other pages of the site are followed there;
those to any other file of the repository lead to a copy of it under files/.
"""

import os.path
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {
    "index.md": "README.md",
    "cluster.md": "cluster/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
"""Pages of the site that lie elsewhere in the repository."""

LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/."""
    for name, source in OUTSIDE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    name = page.file.src_uri
    here = Path(OUTSIDE.get(name, f"docs/{name}")).parent

    def follow(link: re.Match[str]) -> str:
        target = os.path.normpath(here / link[2])
        return link[1] + os.path.relpath(site_name(target, config, files), Path(name).parent)

    return LINK.sub(follow, markdown)


def site_name(target: str, config: MkDocsConfig, files: Files) -> str:
    """The name in the site of a file of the repository, which is copied there if need be."""
    inside = {source: name for name, source in OUTSIDE.items()}
    if target in inside:
        return inside[target]
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    copy = f"files/{target}"
    if files.get_file_from_path(copy) is None and (ROOT / target).is_file():
        files.append(File.generated(config, copy, abs_src_path=str(ROOT / target)))
    return copy
