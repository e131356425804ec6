"""Web services: fitq's endpoints. All kinds are the same here; sizes are accepted and not used."""

from typing import Any, Dict, Optional

from ._client import load

Endpoint: Any = load("fitq.sdk.service", "Endpoint")
_DeploymentConfiguration = load("fitq.sdk.service", "DeploymentConfiguration")
_warn_once = load("fitq.sdk.inside.say", "warn_once")


class Webservice(Endpoint):  # type: ignore[misc]  # found at run time
    """A stable address that scores with a model."""

    @staticmethod
    def deploy_configuration(
        cpu_cores: Optional[float] = None,
        memory_gb: Optional[float] = None,
        tags: Optional[Dict[str, str]] = None,
        description: Optional[str] = None,
        auth_enabled: Optional[bool] = None,
        port: Optional[int] = None,
        **others: Any,
    ) -> Any:
        """How a service is reached. Keys are needed unless `auth_enabled` is False."""
        for name in sorted(n for n, value in others.items() if value is not None):
            _warn_once("deploy " + name, "deploy_configuration: %s has no counterpart here" % name)
        return _DeploymentConfiguration(
            auth_enabled=auth_enabled is not False,
            description=description or "",
            tags=dict(tags or {}),
            cpu_cores=cpu_cores,
            memory_gb=memory_gb,
            port=port,
        )


class AciWebservice(Webservice):
    """As every web service here."""


class AksWebservice(Webservice):
    """As every web service here."""


class LocalWebservice(Webservice):
    """As every web service here."""
