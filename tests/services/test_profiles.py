"""What the compose profiles `monitoring` and `tls` add: read by others' parsers, and run where it can be."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import promql_parser
import pytest
import urllib3
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.parser import text_string_to_metric_families

from fitq.local.ports import free_ports
from fitq.local.process import Process, last_lines, plain_environment
from tests.services.compose_file import REQUIRED, ROOT, read
from tests.services.containers import Container

PROFILES = {
    "monitoring": {"prometheus", "grafana"},
    "tls": {"tls", "tls-volume"},
    "backup": {"backup", "restore"},
}
FILE = read(dict.fromkeys(REQUIRED, "x" * 32))
SERVICES: dict[str, Any] = FILE["services"]
BOARD = json.loads((ROOT / "infra/monitoring/fitq.json").read_text())
API, SCORING = "fitq.localhost", "scoring.localhost"


def configured(service: str) -> dict[str, Path]:
    """Where a service finds a file of ours → that file."""
    places = {c["target"]: FILE["configs"][c["source"]] for c in SERVICES[service]["configs"]}
    return {target: ROOT / config["file"] for target, config in places.items()}


def test_a_profile_adds_its_services_and_without_one_none_of_them_starts() -> None:
    found = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert found == {name: [profile] for profile, names in PROFILES.items() for name in names}


@pytest.mark.parametrize("name", ["prometheus", "grafana", "tls"])
def test_a_server_of_a_profile_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in ("root", "0")
    assert {v.split(":")[0] for v in service["volumes"]} <= FILE["volumes"].keys()
    assert not [value for value in REQUIRED if "x" * 32 in str(service)], "no secret"
    assert all(file.is_file() for file in configured(name).values())
    assert "state" not in service["networks"]
    assert "objects" not in service["networks"]


def test_only_the_proxy_listens_for_other_machines() -> None:
    (shown,) = SERVICES["grafana"]["ports"]
    assert shown.startswith("127.0.0.1:")
    assert "ports" not in SERVICES["prometheus"]
    assert SERVICES["tls"]["ports"] == ["443:8443", "80:8080"]


# --- monitoring -----------------------------------------------------------------------------------


def test_prometheus_reaches_what_it_asks_and_is_answered(api: httpx2.Client, scoring: httpx2.Client) -> None:
    (file,) = [f for target, f in configured("prometheus").items() if target.endswith("fitq.yml")]
    assert f"--config.file={next(iter(configured('prometheus')))}" in SERVICES["prometheus"]["command"]
    jobs = yaml.safe_load(file.read_text())["scrape_configs"]
    asked = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    for client, (service, targets) in zip((api, scoring), asked.items(), strict=True):
        (target,) = targets
        host, _, port = target.partition(":")
        assert host == service
        assert "watched" in SERVICES[host]["networks"]
        assert SERVICES[host]["environment"][f"FITQ_{host.upper()}_PORT"] == port
        answer = client.get("/metrics", headers={"Host": target, "Authorization": ""})
        assert answer.status_code == 200, answer.text
    assert SERVICES["prometheus"]["networks"] == ["watched"]


def test_grafana_finds_its_data_and_its_dashboard() -> None:
    files = configured("grafana")
    provisioned = "/etc/grafana/provisioning"
    (source,) = yaml.safe_load(files[f"{provisioned}/datasources/fitq.yaml"].read_text())["datasources"]
    assert urlsplit(source["url"]).hostname == "prometheus"
    assert set(SERVICES["grafana"]["networks"]) & set(SERVICES["prometheus"]["networks"])
    (provider,) = yaml.safe_load(files[f"{provisioned}/dashboards/fitq.yaml"].read_text())["providers"]
    assert f"{provider['options']['path']}/fitq.json" in files
    assert {used["uid"] for used in found_in(BOARD, "datasource")} == {source["uid"]}
    settings = SERVICES["grafana"]["environment"]
    assert settings["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert settings["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true", "no admin/admin"


def test_the_dashboard_has_no_field_that_grafana_does_not_know_and_no_panel_over_another() -> None:
    known = json.loads(json.dumps(Dashboard.from_json(BOARD), cls=JSONEncoder))
    assert list(lost(BOARD, known)) == []
    panels = BOARD["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    taken = [cell for p in panels for cell in cells(p["gridPos"])]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_the_dashboard_asks_for_numbers_that_are_counted(api: httpx2.Client, scoring: httpx2.Client) -> None:
    """Each name and each label is in what the services answer at this moment."""
    scoring.post("/models/nobody/score", json={"data": [[1.0]]})
    told = labels_of(api.get("/metrics").text) | labels_of(scoring.get("/metrics").text)
    asked = [target["expr"] for target in found_in(BOARD, "targets")]
    assert len(asked) > 15
    for text in asked:
        plain = text.replace("$__rate_interval", "5m")
        promql_parser.parse(plain)
        for name, matchers in re.findall(r"(fitq_\w+)(?:\{(.*?)\})?", plain):
            assert name in told, text
            wanted = {*re.findall(r"(\w+)=", matchers), *re.findall(r"by \((\w+)\)", plain)} - {"le"}
            assert not told[name] or wanted <= told[name], text
    variables = {v["name"]: v["query"] for v in BOARD["templating"]["list"]}
    assert set(re.findall(r"\$([a-z]+)", " ".join(asked))) == set(variables)
    for name, query in variables.items():
        metric = re.fullmatch(rf"label_values\((\w+), {name}\)", query)
        assert metric is not None
        assert metric[1] in told


def lost(said: Any, kept: Any, path: str = "") -> Iterator[str]:
    """Where something is said that whoever read it does not know."""
    if isinstance(said, dict):
        for key, value in said.items():
            yield from lost(value, kept[key], f"{path}.{key}") if key in kept else [f"{path}.{key}"]
    elif isinstance(said, list):
        for n, value in enumerate(said):
            yield from lost(value, kept[n], f"{path}[{n}]")


def labels_of(text: str) -> dict[str, set[str]]:
    """Name of each sample that there is or may be → the labels that its samples have."""
    found: dict[str, set[str]] = {}
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    for family in text_string_to_metric_families(text):
        for end in ends.get(family.type, ()):
            found[f"{family.name}{end}"] = set()
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def found_in(value: Any, key: str) -> list[dict[str, Any]]:
    """Everything under a key, however deep."""
    if isinstance(value, list):
        return [found for one in value for found in found_in(one, key)]
    if not isinstance(value, dict):
        return []
    here = value.get(key, [])
    below = [found for name, one in value.items() if name != key for found in found_in(one, key)]
    deeper = found_in(here, key) if isinstance(here, list) else []
    return [*(here if isinstance(here, list) else [here]), *deeper, *below]


def cells(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y


# --- tls ------------------------------------------------------------------------------------------


class Proxy(NamedTuple):
    """Caddy, as the compose file starts it, and the authority that it made for names like ours."""

    https: int
    http: int
    authority: Path

    def ask(self, host: str, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        pool = urllib3.HTTPSConnectionPool(
            "127.0.0.1", self.https, ca_certs=str(self.authority), server_hostname=host, assert_hostname=host
        )
        with pool:
            return pool.request("GET", path, headers={"Host": host, **headers}, retries=False)


@pytest.fixture(scope="module")
def proxy(
    compose: Any, services: dict[str, Container], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("tls")
    https, http = free_ports(2)
    (file,) = configured("tls").values()
    here = {"8443": str(https), "http_port 8080": f"http_port {http}"}
    for name, port in (("api", "8700"), ("scoring", "8701")):
        here[f"{name}:{port}"] = urlsplit(compose.mapped(f"http://0.0.0.0:{port}")).netloc
    text = file.read_text()
    for there, mapped in here.items():
        text = text.replace(there, mapped)
    (folder / "Caddyfile").write_text(text)
    program, *words = [w.replace("/etc/caddy", str(folder)) for w in SERVICES["tls"]["command"]]
    places = {"/tmp": folder / "config", "/data": folder / "data"}
    environment = {k: str(places.get(v, v)) for k, v in SERVICES["tls"]["environment"].items()}
    caddy = Process(
        "caddy",
        [str(Path(sys.executable).with_name(program)), *words],
        environment={**plain_environment(), **environment},
        log=folder / "log",
        folder=folder,
    )
    authority = folder / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    found = Proxy(https, http, authority)
    caddy.start()
    try:
        caddy.wait_until(lambda: _answers(found), seconds=30)
        yield found
    except Exception as exc:
        raise AssertionError(last_lines(folder / "log", 20)) from exc
    finally:
        caddy.stop(seconds=10)


def _answers(proxy: Proxy) -> bool:
    try:
        return proxy.authority.is_file() and all(
            proxy.ask(h, "/healthz").status == 200 for h in (API, SCORING)
        )
    except urllib3.exceptions.HTTPError:
        return False


def test_both_addresses_are_served_over_tls_under_their_names(proxy: Proxy, compose: Any) -> None:
    token = {"Authorization": f"Bearer {compose.token}"}
    pools = proxy.ask(API, "/v1/pools", **token)
    assert pools.status == 200
    assert [p["name"] for p in pools.json()["pools"]] == ["default"]
    assert pools.headers["strict-transport-security"] == "max-age=31536000"
    assert proxy.ask(API, "/v1/pools").status == 401
    assert proxy.ask(SCORING, "/").data == b"Healthy"
    assert {proxy.ask(host, "/metrics", **token).status for host in (API, SCORING)} == {403}, "inside only"


def test_another_name_is_not_served(proxy: Proxy) -> None:
    with pytest.raises(urllib3.exceptions.SSLError):
        proxy.ask("elsewhere.localhost", "/healthz")


def test_without_tls_one_is_sent_to_where_it_is(proxy: Proxy) -> None:
    answer = urllib3.request(
        "GET", f"http://127.0.0.1:{proxy.http}/x?y=1", headers={"Host": API}, redirect=False, retries=False
    )
    assert answer.status == 308
    assert answer.headers["location"] == f"https://{API}/x?y=1", "the port is the published one, not ours"
