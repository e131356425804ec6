"""The scheduler as one process, told everything by `FITQ_…` variables."""

from __future__ import annotations

import os
import sys

from fitq.programs import exit_code_of, run_scheduler

if __name__ == "__main__":
    sys.exit(exit_code_of(run_scheduler, os.environ))
