"""`fitq` in an environment where it is not installed: this package, from where the worker has it.

What a run needs of it (`fitq.RunContext`, `fitq.function`) is standard library only, any Python ≥ 3.6.
"""

import importlib.util
import os
import sys

_package = os.path.abspath(__file__)
for _ in range(4):  # fitq/worker/fitq_inside/fitq/__init__.py
    _package = os.path.dirname(_package)
_spec = importlib.util.spec_from_file_location(
    "fitq", os.path.join(_package, "__init__.py"), submodule_search_locations=[_package]
)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["fitq"] = _module
_spec.loader.exec_module(_module)
if sys.version_info < (3, 7):  # modules cannot load their names at first use there
    from fitq.context import RunContext
    from fitq.signature import function

    setattr(_module, "RunContext", RunContext)  # noqa: B010  mypy knows it under this name already
    setattr(_module, "function", function)  # noqa: B010
