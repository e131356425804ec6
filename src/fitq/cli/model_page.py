"""Everything that is known of one model, for people."""

from __future__ import annotations

from fitq.cli.output import facts, pairs_text, short_time
from fitq.cli.run_page import versions_text
from fitq.records import InputSchema
from fitq.sdk.answers import ModelSummary, RegisteredModel
from fitq.units import format_bytes


def print_model(record: RegisteredModel, summary: ModelSummary) -> None:
    """Print one version of a model."""
    facts(
        [
            ("Model", record.id),
            ("Versions", ", ".join(str(v) for v in summary.versions)),
            ("Aliases", pairs_text(summary.aliases)),
            ("About", summary.description),
            ("Filed under", pairs_text(summary.tags)),
            ("Description", record.description),
            ("Estimator", record.estimator),
            ("Entry script", record.entry.told if record.entry else ""),
            ("It reads", ", ".join(m.id for m in record.entry.models) if record.entry else ""),
            ("Answers", ", ".join(record.methods)),
            ("By default", record.default_method if record.methods else ""),
            ("Takes", "what its script takes" if record.entry else _schema(record.input_schema)),
            ("Classes", ", ".join(str(c) for c in record.classes)),
            ("From run", record.run),
            ("File", f"{record.path} ({format_bytes(record.size_bytes)})"),
            ("SHA-256", record.sha256),
            ("Written by", versions_text(record.versions)),
            ("Declared", f"{record.framework} {record.framework_version}".strip()),
            ("Tags", pairs_text(record.tags)),
            ("Properties", pairs_text(record.properties)),
            ("Registered", short_time(record.created_at)),
            ("Warnings", "\n".join(record.warnings)),
            ("Approved", "served also where it answers otherwise" if record.tolerated else ""),
            ("Scoring", record.scoring_uri),
        ]
    )


def _schema(schema: InputSchema | None) -> str:
    if schema is None:
        return "unknown: it cannot be scored until it is registered with --sample-input"
    if schema.layout == "texts":
        return "texts"
    columns = [f"{c.name}: {c.kind}" if c.name else c.kind for c in schema.columns]
    if len(set(columns)) == 1 and len(columns) > 1:
        return f"rows of {len(columns)} {columns[0]}s"
    return f"rows of {len(columns)}: {', '.join(columns)}"
