"""The shape of the package: what lies where, and names that cannot be confused."""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "atal_ray"
MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in MODULES}
LONGEST = 110


def imported(tree: ast.Module) -> set[str]:
    """The first part of the name of every module that is imported anywhere in a file."""
    names = [
        alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    ] + [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {name.partition(".")[0] for name in names}


def twice(names: list[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def test_the_root_holds_what_everything_uses() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    always = {"__init__.py", "cli.py", "errors.py", "seeding.py", "py.typed"}
    assert always <= files <= {*always, "__main__.py"}


def test_every_folder_says_what_it_is_for() -> None:
    folders = {path.parent for path in MODULES}
    assert not [folder for folder in folders if ast.get_docstring(TREES[folder / "__init__.py"]) is None]


def test_no_two_modules_share_a_name() -> None:
    assert twice([path.name for path in MODULES if path.name != "__init__.py"]) == []


def test_no_two_public_classes_share_a_name() -> None:
    classes = [node.name for tree in TREES.values() for node in tree.body if isinstance(node, ast.ClassDef)]
    assert len(classes) > 50
    assert twice([name for name in classes if not name.startswith("_")]) == []


def test_ray_is_imported_in_runtime_only() -> None:
    users = {path.relative_to(PACKAGE).parts[0] for path, tree in TREES.items() if "ray" in imported(tree)}
    assert users == {"runtime"}


def test_imports_inside_functions_are_seen() -> None:
    assert imported(ast.parse("def f():\n    from ray.data import Dataset\n    import torch.nn")) == {
        "ray",
        "torch",
    }


def test_tests_lie_where_their_module_lies() -> None:
    folders = {path.parent.relative_to(PACKAGE) for path in MODULES}
    tests = [path.relative_to(ROOT / "tests").parent for path in (ROOT / "tests").rglob("test_*.py")]
    assert set(tests) - folders == {Path("cluster")}  # whose files lie beside the package


def test_no_line_is_too_long() -> None:
    files = [
        path
        for folder in ("atal_ray", "jobs", "benchmarks", "examples", "tests")
        for path in (ROOT / folder).rglob("*.py")
    ]
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if len(line) > LONGEST
    ]
    assert long == []
