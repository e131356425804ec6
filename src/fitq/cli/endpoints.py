"""`fitq endpoints`: stable addresses for models."""

from __future__ import annotations

import click

from fitq.cli.commands import command, group, json_option
from fitq.cli.connect import platform
from fitq.cli.given import model_and_version, pairs
from fitq.cli.output import facts, next_step, pairs_text, result, result_json, say, short_time, table
from fitq.errors import InvalidRequest
from fitq.records import EndpointRequest, to_builtins
from fitq.sdk.answers import DeployedEndpoint
from fitq.sdk.client import Client


@group(
    "endpoints",
    "fitq endpoints deploy flowers --model iris",
    "fitq endpoints keys flowers",
    "fitq endpoints delete flowers",
)
def endpoints() -> None:
    """Deploy models behind stable addresses."""


@command(
    "deploy",
    "fitq endpoints deploy flowers --model iris",
    "fitq endpoints deploy flowers --model iris:3 --auth token",
    "fitq endpoints deploy flowers --model iris --traffic 3=90 --traffic 4=10",
)
@click.argument("name")
@click.option("--model", required=True, metavar="M[:V]", help="Name, NAME:VERSION or NAME:ALIAS.")
@click.option(
    "--traffic", multiple=True, metavar="V=PERCENT", help="Share of a version; 100 in all. Repeat it."
)
@click.option(
    "--auth",
    type=click.Choice(["key", "token", "none"]),
    default="key",
    show_default=True,
    help="What opens it.",
)
@click.option("--method", help="Used when a request names none.  [default: the model's own]")
@click.option("--description", default="", help="What it is.")
@click.option("--tag", multiple=True, metavar="K=V", help="Tag. May be repeated.")
def deploy(
    name: str,
    model: str,
    traffic: tuple[str, ...],
    auth: str,
    method: str | None,
    description: str,
    tag: tuple[str, ...],
) -> None:
    """Deploy a model behind a stable address, or change what stands behind it.

    Prints the scoring address. Without a version or --traffic, the newest version gets everything.
    """
    with platform() as client:
        model_name, shares = _shares(client, model, traffic)
        request = EndpointRequest(
            model=model_name,
            traffic=shares,
            auth=auth,
            method=method,
            description=description,
            tags=pairs("--tag", tag),
        )
        endpoint = client.deploy(name, request)
    result(endpoint.scoring_uri)
    say(f"Endpoint {endpoint.name} is {endpoint.state}. {endpoint.problem}".strip())
    next_step(f"fitq endpoints keys {name}", f"fitq endpoints show {name}")


def _shares(client: Client, model: str, traffic: tuple[str, ...]) -> tuple[str, dict[str, int] | None]:
    """The model's name, and the percentage of each version."""
    name, version = model_and_version(model)
    given = pairs("--traffic", traffic)
    if version and given:
        raise InvalidRequest(f"--model {model} and --traffic both name versions.", hint="Use one of the two.")
    if version:
        return name, {str(client.get_model(name, version).version): 100}
    for number, percent in given.items():
        if not percent.isdigit():
            raise InvalidRequest(f"--traffic {number}={percent} is not a percentage.", hint="Use 3=90.")
    return name, {number: int(percent) for number, percent in given.items()} or None


@command("list", "fitq endpoints list", "fitq endpoints list --json", "fitq endpoints show flowers")
@json_option
def list_(as_json: bool) -> None:
    """List endpoints."""
    with platform() as client:
        found = client.endpoints()
    if as_json:
        result_json([to_builtins(e) for e in found])
        return
    table(
        ["ENDPOINT", "STATE", "MODEL", "TRAFFIC", "AUTH", "ADDRESS"],
        [(e.name, e.state, e.model, _traffic(e), e.auth, e.scoring_uri) for e in found],
    )
    if not found:
        next_step("fitq endpoints deploy NAME --model MODEL")


def _traffic(endpoint: DeployedEndpoint) -> str:
    return ", ".join(f"{version}: {percent} %" for version, percent in endpoint.traffic.items())


@command("show", "fitq endpoints show flowers", "fitq endpoints show flowers --json", "fitq endpoints list")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show an endpoint."""
    with platform() as client:
        endpoint = client.get_endpoint(name)
    if as_json:
        result_json(to_builtins(endpoint))
        return
    facts(
        [
            ("Endpoint", endpoint.name),
            ("State", endpoint.state),
            ("Why", "\n".join(filter(None, (endpoint.problem, endpoint.hint)))),
            ("Model", endpoint.model),
            ("Traffic", _traffic(endpoint)),
            ("Method", endpoint.method),
            ("Opened by", endpoint.auth),
            ("Description", endpoint.description),
            ("Tags", pairs_text(endpoint.tags)),
            ("Changed", short_time(endpoint.updated_at)),
            ("Scoring", endpoint.scoring_uri),
            ("Swagger", endpoint.swagger_uri),
        ]
    )
    next_step(f"fitq endpoints keys {name}")


@command(
    "keys",
    "fitq endpoints keys flowers",
    "fitq endpoints keys flowers --json",
    "fitq endpoints rotate flowers primary",
)
@click.argument("name")
@json_option
def keys(name: str, as_json: bool) -> None:
    """Print the keys of an endpoint; either opens it."""
    with platform() as client:
        found = client.keys(name)
        address = client.get_endpoint(name).scoring_uri
    if as_json:
        result_json(to_builtins(found))
        return
    facts([("primary", found.primary), ("secondary", found.secondary)])
    next_step(
        f"curl {address} -H 'Authorization: Bearer KEY' -H 'Content-Type: application/json' -d @rows.json"
    )


@command(
    "rotate",
    "fitq endpoints rotate flowers primary",
    "fitq endpoints rotate flowers secondary",
    "fitq endpoints keys flowers",
)
@click.argument("name")
@click.argument("which", type=click.Choice(["primary", "secondary"]))
def rotate(name: str, which: str) -> None:
    """Replace a key of an endpoint; prints the new one. The old one stops working."""
    with platform() as client:
        result(str(getattr(client.regenerate_key(name, which), which)))
    next_step(f"fitq endpoints keys {name}")


@command(
    "delete",
    "fitq endpoints delete flowers",
    "fitq endpoints list",
    "fitq endpoints deploy flowers --model iris",
)
@click.argument("name")
def delete(name: str) -> None:
    """Delete an endpoint; its model stays."""
    with platform() as client:
        client.get_endpoint(name)  # deleting what is not there is fine over HTTP; a person mistyped
        client.delete_endpoint(name)
    say(f"Endpoint {name} is deleted.")
    next_step("fitq endpoints list")


for _verb in (deploy, list_, show, keys, rotate, delete):
    endpoints.add_command(_verb)
