"""What notebooks call to watch a run: here a line with its page on the dashboard."""

import sys
from typing import Any


class RunDetails:
    """Points to a run's page, which shows status, log and metrics as they come."""

    def __init__(self, run_instance: Any) -> None:
        self.run = run_instance

    def show(self, *_: Any, **__: Any) -> None:
        """Write the address of the run's page."""
        sys.stdout.write("Run %s: %s\n" % (self.run.id, self.run.get_portal_url()))
