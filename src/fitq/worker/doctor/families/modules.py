"""A module that cannot be imported."""

from __future__ import annotations

import re
import sys
from pathlib import PurePosixPath

from fitq.worker.doctor import tables
from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Frame, Trace

KINDS = {"import_error": "A module is not installed, not in the snapshot, or does not have that name."}

_MISSING = re.compile(r"No module named '?(?P<module>[\w.]{1,300})'?")
_NO_NAME = re.compile(
    r"cannot import name '(?P<name>\w{1,200})' from "
    r"(?P<partly>partially initialized module )?'(?P<module>[\w.]{1,300})'"
)
_OPTIONAL = re.compile(
    r"(?:Missing optional dependency|requires? (?:the )?) ?'?(?P<module>[A-Za-z][\w.-]{1,100})'?"
)
_ASKED = re.compile(r"(?:from|import) (?P<module>[\w.]{1,300})(?: import (?P<name>\w{1,200}))?")
_LIBRARY = re.compile(r"(?P<library>lib[\w.+-]{1,100}\.so[\d.]{0,20}): cannot open shared object file")


def recognise(case: Case, trace: Trace) -> Finding | None:
    """ModuleNotFoundError and ImportError."""
    if trace.short_name not in ("ModuleNotFoundError", "ImportError"):
        return None
    text = trace.text[:3000]
    if found := _MISSING.search(text) or _OPTIONAL.search(text):
        return _missing(case, _whole(found["module"], case.frame_of(trace)))
    if found := _NO_NAME.search(text):
        return _no_name(case, found)
    if found := _LIBRARY.search(text):
        return _library(found["library"])
    return Finding("import_error", trace.sentence, "See the versions of the run for what is installed.")


def _whole(module: str, frame: Frame | None) -> str:
    """What was asked for: of `import google.cloud.storage` Python may only miss `google`."""
    found = _ASKED.match(frame.code[:500]) if frame else None
    asked = f"{found['module']}.{found['name'] or ''}".rstrip(".") if found else ""
    known = tables.package_of(asked) != tables.package_of(module)
    return asked if known and asked.startswith(f"{module}.") else module


def _missing(case: Case, module: str) -> Finding:
    top = module.partition(".")[0]
    message = f"There is no module {module!r}."
    hint = _standard(case, module) or _in_snapshot(case, module) or _installable(case, module, top)
    return Finding("import_error", message, hint)


def _standard(case: Case, module: str) -> str:
    """Modules that were part of Python once."""
    now = tables.former_modules().get(module)
    if now is not None:
        return f"{now} This run had Python {case.run.versions.python or '3'}."
    if module.partition(".")[0] in sys.stdlib_module_names:
        return "It is part of Python, but this Python was built without it, or does not have it yet."
    return ""


def _in_snapshot(case: Case, module: str) -> str:
    """Modules of the user's own."""
    path = module.replace(".", "/")
    here = [f for f in case.listing.files if f.endswith((f"/{path}.py", f"/{path}/__init__.py"))]
    if here:
        root = here[0].removesuffix("/__init__.py").removesuffix(".py").removesuffix(path).rstrip("/")
        return (
            f"The snapshot has {here[0]}, but imports start at the script's folder. Before that import: "
            f"sys.path.insert(0, {root!r})."
        )
    rule = case.listing.ignored_by(f"{path}.py")
    if rule:
        return f"If it is your own {path}.py: that was left out of the snapshot by {rule}."
    own = {PurePosixPath(f).stem: f for f in case.listing.files if f.endswith(".py")}
    near = tables.near(module, own)
    return f"The snapshot has {own[near]}: was {near!r} meant?" if near else ""


def _installable(case: Case, module: str, top: str) -> str:
    package = tables.package_of(module)
    if case.version(package.lower()):
        return (
            f"Package {package} {case.version(package.lower())} is installed, but has no module {module!r}: "
            "another version does, or the name is misspelt."
        )
    known = f"It belongs to package {package!r}. " if package != top else ""
    return (
        f"{known}Add the line {package} to the requirements.txt or conda file of the run's environment "
        "(fitq submit --environment FILE …). If it is a module of your own, send it beside the script."
    )


def _no_name(case: Case, found: re.Match[str]) -> Finding:
    name, module = found["name"], found["module"]
    if found["partly"]:
        hint = "Two modules import each other: move what both need to a third, or import inside the function."
        return Finding("import_error", f"{module!r} has no {name!r} yet: a circular import.", hint)
    package = tables.package_of(module)
    version = case.version(package.lower())
    installed = f" {package} {version} is installed." if version else ""
    shadowed = any(f == f"{module.replace('.', '/')}.py" for f in case.listing.files) and bool(version)
    if shadowed:
        hint = f"The snapshot's own {module}.py hides the package of that name: rename it."
    else:
        hint = f"Is the name right for this version?{installed}"
    packages = (package.lower(),) if version else ()
    return Finding("import_error", f"Module {module!r} has no {name!r}.", hint, packages=packages)


def _library(library: str) -> Finding:
    hint = "A system library that the package needs is not installed where the worker runs."
    if library.startswith("libGL"):
        hint = "Use opencv-python-headless instead of opencv-python: a worker has no display."
    return Finding("import_error", f"The system library {library} is missing.", hint)
