"""A digest of the code that a benchmark measures: by it a result file shows whether that code has changed.

Docstrings, comments, layout and the folder of a module do not count; what it computes does. The text that is
hashed is `ast.unparse`'s, so the digests of two Python versions may differ.
"""

import ast
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "atal_ray"


def source_files(modules: Sequence[str], root: Path = ROOT) -> list[Path]:
    """The files of modules and of whole packages, given by dotted name; relative to the root.

    Raises:
        LookupError: there is no module of that name.
    """
    found: list[Path] = []
    for module in modules:
        path = Path(*module.split("."))
        if (root / path).with_suffix(".py").is_file():
            found.append(path.with_suffix(".py"))
        elif (root / path).is_dir():
            found += sorted(file.relative_to(root) for file in (root / path).rglob("*.py"))
        else:
            raise LookupError(f"there is no module {module}")
    return found


def digest(sources: Iterable[str]) -> str:
    """SHA-256 over the code of some sources, whatever their order."""
    found = hashlib.sha256()
    for code in sorted({_code(source) for source in sources} - {"pass"}):  # of an empty __init__.py
        found.update(code.encode() + b"\0")
    return found.hexdigest()


def digest_of(modules: Sequence[str], root: Path = ROOT) -> str:
    """The digest of modules as they lie in the working tree."""
    return digest((root / file).read_text() for file in source_files(modules, root))


def _code(source: str) -> str:
    """A module without docstrings, its imports in alphabetical order and without the package's folders."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            node.module = PACKAGE  # a module that moves is not other code
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [part for part in body if not _is_text(part)]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    imports = [part for part in tree.body if isinstance(part, ast.Import | ast.ImportFrom)]
    rest = [part for part in tree.body if not isinstance(part, ast.Import | ast.ImportFrom)]
    return ast.unparse(ast.Module([*sorted(imports, key=ast.unparse), *rest], type_ignores=[]))


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a string alone: a docstring, also that of a field."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
