"""Makes `fitq` importable where it is not installed: these shims lie inside its package, and what a run
needs of it is standard library only."""

import importlib.util
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[3]  # fitq/worker/shims/azureml/_bridge.py


def find_fitq() -> None:
    """Load the package these shims lie in, unless one is installed.

    Raises:
        ImportError: neither is there.
    """
    if importlib.util.find_spec("fitq") is not None:
        return
    start = _PACKAGE / "__init__.py"
    if not (_PACKAGE / "context.py").is_file():
        raise ImportError("azureml needs fitq: install it, or leave this folder inside its package")
    spec = importlib.util.spec_from_file_location(
        "fitq", str(start), submodule_search_locations=[str(_PACKAGE)]
    )
    if spec is None or spec.loader is None:
        raise ImportError("cannot load fitq from %s" % start)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fitq"] = module
    spec.loader.exec_module(module)
