"""The API and the dashboard as one process, told everything by `FITQ_…` variables."""

from __future__ import annotations

import os
import sys

from fitq.programs import exit_code_of, run_api

if __name__ == "__main__":
    sys.exit(exit_code_of(run_api, os.environ))
