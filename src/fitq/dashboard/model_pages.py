"""Models: which there are, where they came from, what rows they take, and how to score one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fitq.dashboard import commands
from fitq.dashboard.paging import page_number, sliced
from fitq.dashboard.site import Site, site_of
from fitq.errors import NotFound
from fitq.records import ModelRecord
from fitq.store.catalog import ModelSummary

_PAGE_MODELS, _PAGE_VERSIONS = 40, 20
_MOST_COLUMNS = 60


def listing(request: Request) -> Response:
    """`/models?page=`."""
    site = site_of(request)
    part = sliced(site.catalog.model_names(), page_number(request), _PAGE_MODELS)
    return site.render(request, "models.html", models=_summaries(site, part.items), part=part)


def newest_models(site: Site, count: int) -> list[ModelSummary]:
    """The models registered last."""
    found = _summaries(site, site.catalog.model_names())
    return sorted(found, key=lambda s: s.latest.created_at, reverse=True)[:count]


def _summaries(site: Site, names: list[str]) -> list[ModelSummary]:
    found = []
    for name in names:
        try:
            found.append(site.catalog.summary(name))
        except NotFound:  # its first version is being registered at this moment
            continue
    return found


def show(request: Request) -> Response:
    """`/models/{name}` (the newest version) and `/models/{name}/versions/{version}`."""
    site, name = site_of(request), request.path_params["name"]
    version = request.path_params.get("version")
    summary = site.catalog.summary(name)
    model = site.catalog.model(name, version) if version else summary.latest
    part = sliced(summary.versions[::-1], page_number(request), _PAGE_VERSIONS)
    return site.render(
        request,
        "model.html",
        model=model,
        health=site.serving.model(name, model.version) if model.is_scored else None,
        summary=summary,
        records=[site.catalog.model(name, number) for number in part.items],
        part=part,
        aliases_of=_by_version(summary),
        columns=model.input_schema.columns[:_MOST_COLUMNS] if model.input_schema else [],
        column_count=model.input_schema.width if model.input_schema else 0,
        real_framework=_real_framework(model),
        curl=commands.score(site.settings.scoring_url, model, pinned=bool(version)),
    )


def _by_version(summary: ModelSummary) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for alias, version in sorted(summary.aliases.items()):
        found.setdefault(version, []).append(alias)
    return found


def _real_framework(model: ModelRecord) -> str:
    """The version of scikit-learn that really wrote the file, if that is known."""
    return model.versions.packages.get("scikit-learn", "")
