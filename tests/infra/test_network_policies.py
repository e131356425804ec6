"""Who reaches whom in the cluster, connection by connection: what is needed works, and nothing else does."""

from __future__ import annotations

import copy
from typing import NamedTuple

import pytest

from tests.infra.network import Place, may_connect
from tests.infra.rendered import Object, named, pods, render, render_with

#: Where somebody is whom the manifests do not make.
ELSEWHERE = {
    "ingress controller": Place("10.1.0.1", "ingress-nginx", {"app": "x"}),
    "keda": Place("10.1.0.2", "keda", {"app": "x"}),
    "prometheus": Place("10.1.0.3", "monitoring", {"app": "x"}),
    "somebody": Place("10.1.0.4", "default", {"app.kubernetes.io/component": "api"}),
    "cluster names": Place("10.1.0.5", "kube-system", {"k8s-app": "kube-dns"}),
    "openshift names": Place("10.1.0.6", "openshift-dns", {"app": "dns"}),
    "names on the node": Place("169.254.20.10"),
    "kubernetes": Place("10.96.0.1"),
    "cloud credentials": Place("169.254.169.254"),
    "a node": Place("192.168.3.4"),
    "public S3": Place("52.218.0.1"),
    "managed redis": Place("10.20.0.5"),
}
PROGRAMS = ("api", "scheduler", "scoring", "worker")


class Edge(NamedTuple):
    """A connection that somebody may want."""

    source: str
    target: str
    port: int
    protocol: str = "TCP"


NEEDED = [
    Edge("api", "scoring", 8701),
    Edge("ingress controller", "api", 8700),
    Edge("ingress controller", "scoring", 8701),
    Edge("keda", "api", 8700),
    Edge("prometheus", "api", 8700),
    Edge("prometheus", "scoring", 8701),
    *(Edge(p, "cluster names", 53, how) for p in PROGRAMS for how in ("UDP", "TCP")),
    *(Edge(p, "names on the node", 53, "UDP") for p in PROGRAMS),
    *(Edge(p, "openshift names", 5353, "UDP") for p in PROGRAMS),
]
FORBIDDEN = [
    Edge("worker", "api", 8700),
    Edge("worker", "scoring", 8701),
    Edge("scheduler", "api", 8700),
    Edge("scoring", "api", 8700),
    Edge("keda", "scoring", 8701),
    *(Edge("somebody", p, port) for p, port in (("api", 8700), ("scoring", 8701), ("scheduler", 80))),
    *(Edge(who, "worker", 80) for who in ("api", "scheduler", "scoring", "worker", "prometheus", "somebody")),
    *(Edge(p, "kubernetes", 443) for p in PROGRAMS),
    *(Edge(p, "cloud credentials", port) for p in PROGRAMS for port in (80, 443)),
    *(Edge(p, "a node", port) for p in PROGRAMS for port in (443, 10250)),
    *(Edge(p, "cluster names", 443) for p in PROGRAMS),
]
STORES = {
    "inside": (
        [Edge(p, "redis", 6379) for p in ("api", "scheduler", "worker")]
        + [Edge(p, "minio", 9000) for p in (*PROGRAMS, "minio-users")],
        [
            Edge("scoring", "redis", 6379),
            Edge("somebody", "redis", 6379),
            Edge("somebody", "minio", 9000),
            Edge("minio", "redis", 6379),
            Edge("minio-users", "redis", 6379),
            *(Edge(p, "public S3", 443) for p in (*PROGRAMS, "redis", "minio")),
        ],
    ),
    "outside": (
        [Edge(p, "managed redis", port) for p in ("api", "scheduler", "worker") for port in (6379, 6380)]
        + [Edge(p, "public S3", 443) for p in (*PROGRAMS, "backup")],
        [
            *(Edge(p, "managed redis", 6379) for p in ("scoring", "backup")),
            *(Edge(p, "public S3", 80) for p in PROGRAMS),
            *(Edge("backup", p, port) for p, port in (("api", 8700), ("scoring", 8701))),
        ],
    ),
}


@pytest.fixture(scope="module", params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    """Where the stores are."""
    return str(request.param)


@pytest.fixture(scope="module")
def things(kind: str, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    folder = tmp_path_factory.mktemp(kind)
    return render("prod", folder) if kind == "outside" else render_with(["stores", "network-policy"], folder)


def wrong(things: list[Object], kind: str) -> list[str]:
    """What is needed and does not work, what works and is not to be."""
    needed, forbidden = STORES[kind]
    places = ELSEWHERE | _pods(things)
    found = []
    for edge, wanted in [*((e, True) for e in NEEDED + needed), *((e, False) for e in FORBIDDEN + forbidden)]:
        source, target = places[edge.source], places[edge.target]
        if may_connect(things, source, target, edge.port, edge.protocol) != wanted:
            found.append(f"{edge} {'does not work' if wanted else 'works'}")
    return found


def _pods(things: list[Object]) -> dict[str, Place]:
    found = {}
    for n, (_, pod) in enumerate(pods(things)):
        labels = pod["metadata"]["labels"]
        ports = {p["name"]: p["containerPort"] for c in pod["spec"]["containers"] for p in c.get("ports", [])}
        found[labels["app.kubernetes.io/component"]] = Place(f"10.0.0.{n}", "fitq", labels, ports)
    return found


def test_what_is_needed_works_and_nothing_else(things: list[Object], kind: str) -> None:
    assert wrong(things, kind) == []


def test_each_policy_and_each_rule_is_needed(things: list[Object], kind: str) -> None:
    """What is said above is noticed when it goes: a policy as a whole, and each of its rules."""
    for name, policy in named(things, "NetworkPolicy").items():
        without = [t for t in things if t is not policy]
        assert wrong(without, kind) or name in _of_the_other_stores(kind), name
        for way in ("ingress", "egress"):
            for n in range(len(policy["spec"].get(way) or [])):
                poorer = copy.deepcopy(policy)
                del poorer["spec"][way][n]
                assert wrong([*without, poorer], kind) or name in _of_the_other_stores(kind), (name, way, n)


def _of_the_other_stores(kind: str) -> set[str]:
    inside = {f"{way}-{store}" for way in ("to", "callers-of") for store in ("redis", "objects")}
    return inside if kind == "outside" else set()
