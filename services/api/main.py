"""The API and the dashboard as one process, told everything by `FITQ_…` variables."""

from __future__ import annotations

import os

from fitq.programs import run_api
from fitq.settings import Settings


def main() -> None:
    """Serve until SIGTERM."""
    run_api(Settings.from_environment(os.environ))


if __name__ == "__main__":
    main()
