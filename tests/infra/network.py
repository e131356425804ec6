"""Who may reach whom under a set of NetworkPolicies: what a network plugin makes of them, without one.

Connections are asked for one at a time. A pod that no policy selects may do anything; one that some policy
selects may do what one of those allows. Both ends have to agree.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

from tests.infra.rendered import Object, matches, named

_NAMESPACE = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Place:
    """One end of a connection: a pod, or whatever has an address and no labels."""

    address: str
    namespace: str = ""  #: empty: outside of the cluster, or of the node itself
    labels: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)  #: by name

    @property
    def namespace_labels(self) -> dict[str, str]:
        return {_NAMESPACE: self.namespace}


def may_connect(things: list[Object], source: Place, target: Place, port: int, protocol: str = "TCP") -> bool:
    """Whether policies let the source open a connection to the target's port."""
    policies = list(named(things, "NetworkPolicy").values())
    leaves = _allows(policies, source, target, "Egress", target, port, protocol)
    return leaves and _allows(policies, target, source, "Ingress", target, port, protocol)


def _allows(
    policies: list[Object], here: Place, there: Place, way: str, target: Place, port: int, protocol: str
) -> bool:
    mine = [p for p in policies if _selects(p, here) and way in _types(p["spec"])]
    peers = "to" if way == "Egress" else "from"
    return not mine or any(
        _has_port(rule, target, port, protocol)
        and _has_peer(rule.get(peers), policy["metadata"]["namespace"], there)
        for policy in mine
        for rule in policy["spec"].get(way.lower()) or []
    )


def _types(spec: Object) -> list[str]:
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]


def _selects(policy: Object, pod: Place) -> bool:
    same = policy["metadata"]["namespace"] == pod.namespace
    return same and matches(policy["spec"]["podSelector"], pod.labels)


def _has_port(rule: Object, target: Place, port: int, protocol: str) -> bool:
    """No ports in a rule are all ports; a name is one of the target's own."""
    wanted: list[Any] = rule.get("ports") or []
    return not wanted or any(
        target.ports.get(str(w["port"]), w["port"]) == port and w.get("protocol", "TCP") == protocol
        for w in wanted
    )


def _has_peer(peers: list[Object] | None, home: str, there: Place) -> bool:
    return not peers or any(_is(peer, home, there) for peer in peers)


def _is(peer: Object, home: str, there: Place) -> bool:
    if "ipBlock" in peer:
        return _within(peer["ipBlock"], there.address)
    in_namespace = (
        matches(peer["namespaceSelector"], there.namespace_labels)
        if "namespaceSelector" in peer
        else there.namespace == home
    )
    return bool(there.namespace) and in_namespace and matches(peer.get("podSelector", {}), there.labels)


def _within(block: Object, address: str) -> bool:
    here = ipaddress.ip_address(address)
    inside = here in ipaddress.ip_network(block["cidr"])
    return inside and not any(here in ipaddress.ip_network(e) for e in block.get("except", []))
