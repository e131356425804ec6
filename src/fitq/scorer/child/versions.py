"""Which packages this interpreter really has."""

import sys
from typing import Dict

PACKAGES = ("numpy", "scipy", "scikit-learn", "joblib", "pandas", "skops")


def versions() -> Dict[str, str]:
    """Of the packages that matter, what this interpreter really has."""
    found = {}
    for name in PACKAGES:
        module = sys.modules.get("sklearn" if name == "scikit-learn" else name)
        version = str(getattr(module, "__version__", "")) or _installed(name)
        if version:
            found[name] = version
    return found


def _installed(name: str) -> str:
    """The version of a package that nothing has imported yet; importing it to ask takes a second."""
    try:
        from importlib.metadata import version  # Python 3.8 and later

        return version(name)
    except Exception:  # absent, or an older Python
        return ""
