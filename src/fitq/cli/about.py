"""`fitq version`, `settings`, `azureml-path`, `dashboard`: where things are and what they are set to."""

from __future__ import annotations

import dataclasses
import os
import platform as machine
from importlib import metadata
from pathlib import Path

from fitq.cli.commands import command, json_option
from fitq.cli.output import next_step, result, result_json, say, table


@command("version", "fitq version", "fitq version --json", "fitq doctor")
@json_option
def version(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        result_json({"fitq": metadata.version("fitq"), "python": machine.python_version()})
    else:
        result(f"fitq {metadata.version('fitq')}")


@command("settings", "fitq settings", "fitq settings --json", "FITQ_GRACE_SECONDS=10 fitq settings")
@json_option
def settings(as_json: bool) -> None:
    """List every setting with its value.

    Programs read these variables; secrets are shown as ***.
    """
    from fitq.settings import Settings, shown_value, variable

    now = Settings.from_environment(os.environ)
    fields = dataclasses.fields(now)
    shown = {variable(f.name): shown_value(f, getattr(now, f.name)).strip("'") for f in fields}
    if as_json:
        result_json(shown)
        return
    table(
        ["VARIABLE", "VALUE", "MEANING"],
        [(variable(f.name), shown[variable(f.name)], f.metadata["help"]) for f in fields],
    )
    say("Clients read FITQ_URL, FITQ_SCORING_URL, FITQ_TOKEN and FITQ_WORKSPACE, or .fitq/config.json.")
    next_step("fitq doctor")


@command(
    "azureml-path",
    "fitq azureml-path",
    'PYTHONPATH="$(fitq azureml-path)" python client.py',
    'export PYTHONPATH="$(fitq azureml-path)"',
)
def azureml_path() -> None:
    """Print the folder that makes azureml.core importable.

    With it on PYTHONPATH, client code written for azureml.core runs on fitq as it is.
    """
    result(str(Path(__file__).parents[1] / "worker" / "shims"))


@command("dashboard", "fitq dashboard", 'xdg-open "$(fitq dashboard)"', "fitq dashboard 2>/dev/null")
def dashboard() -> None:
    """Print a link that opens the dashboard.

    It holds a code that is good for ten minutes, not the token.
    """
    from fitq.cli.connect import platform
    from fitq.credentials import login_code
    from fitq.errors import Unauthorized

    with platform() as client:
        found = client.connection
        if not found.token:
            raise Unauthorized(f"No token is known for {found.url}.")
        client.get("/healthz")  # a link to what does not answer helps nobody
    result(f"{found.url}/login?code={login_code(found.token)}")
    say("Open it in a browser within ten minutes.")
