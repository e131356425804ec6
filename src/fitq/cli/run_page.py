"""Everything that is known of one run, for people."""

from __future__ import annotations

from fitq.cli.output import facts, pairs_text, short_time
from fitq.cli.run_table import duration, timeline
from fitq.records import Registration, RunRecord, Versions
from fitq.sdk.watching import explain
from fitq.units import format_bytes, format_seconds

_PACKAGES_SHOWN = ("numpy", "scikit-learn", "scipy", "pandas", "joblib")


def print_run(run: RunRecord) -> None:
    """Print a run."""
    facts(
        [
            ("Run", run.id),
            ("Name", run.display_name),
            ("Status", run.status),
            ("Failure", explain(run) if run.failure else ""),
            ("Warnings", "\n".join(run.warnings)),
            ("Part of", run.parent),
            ("Experiment", run.experiment),
            ("Function", run.function),
            ("Script", run.script),
            ("Command", run.command),
            ("Arguments", " ".join(run.arguments)),
            ("Parameters", pairs_text(run.parameters)),
            ("Inputs", pairs_text(run.inputs)),
            ("Secrets", ", ".join(run.secrets)),
            ("Tags", pairs_text(run.tags)),
            ("Registers", "\n".join(_registration(r) for r in run.register)),
            ("Pool", run.pool),
            ("Worker", run.worker),
            ("Attempt", f"{run.attempt}, {run.losses} lost before" if run.losses else run.attempt),
            ("Environment", _environment(run)),
            ("Versions", versions_text(run.versions)),
            ("Submitted", short_time(run.created_at)),
            ("Timeline", timeline(run)),
            ("Waited", format_seconds(run.usage.queue_seconds) if run.attempt else ""),
            ("Took", duration(run)),
            ("Isolation", ", ".join(run.isolation)),
            ("CPU time", format_seconds(run.usage.cpu_seconds) if run.usage.cpu_seconds else ""),
            ("Peak memory", format_bytes(run.usage.peak_memory_bytes) if run.usage.peak_memory_bytes else ""),
            ("Git", pairs_text(run.git)),
            ("Snapshot", run.snapshot),
        ]
    )


def _registration(wanted: Registration) -> str:
    return f"{wanted.name} from {wanted.path}" if wanted.path else wanted.name


def _environment(run: RunRecord) -> str:
    got = run.environment
    if not got.resolved_to:
        return got.name
    what = "the worker's own" if got.resolved_to == "worker" else f"{got.resolved_to}, Python {got.python}"
    return f"{got.name} (resolved to {what})"


def versions_text(versions: Versions) -> str:
    """Python and the packages that matter most; `--json` has all of them."""
    known = {n: versions.packages[n] for n in _PACKAGES_SHOWN if n in versions.packages}
    python = {"python": versions.python} if versions.python else {}
    return ", ".join(f"{name} {version}" for name, version in {**python, **known}.items())
