"""One worker of one pool, told everything by `FITQ_…` variables.

`python -m services.worker.main` runs it in this process. `dramatiq services.worker.main` runs it under
Dramatiq's own supervisor: importing this module then leaves a broker with all actors declared.
"""

from __future__ import annotations

import os
import sys

import dramatiq

from fitq.programs import exit_code_of, run_worker
from fitq.settings import Settings
from fitq.worker.main import build
from fitq.worker.vault import take_from

if __name__ == "__main__":
    sys.exit(exit_code_of(run_worker, os.environ))
else:
    dramatiq.set_broker(build(Settings.from_environment(os.environ), take_from(os.environ)).broker)
