"""The manifests, as far as they can be judged without a cluster: rendered by kustomize, checked against the
schemas of Kubernetes and KEDA, and against what this repository's programs really are."""

from __future__ import annotations

import dataclasses
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import kubernetes_validate
import msgspec
import pytest
from cloudcoil.models.keda import v1alpha1
from starlette.routing import Route

from fitq import pools, submission
from fitq.api.app import ROUTES
from fitq.backend import Backend, open_backend
from fitq.programs import STOP_SECONDS
from fitq.records import FunctionRecord, PoolRecord, RunRequest
from fitq.settings import Settings, variable
from tests.infra.rendered import OVERLAYS, ROOT, Object, matches, named, pods, render
from tests.services.compose_file import last

KUBERNETES_VERSION = "1.33"
KEDA: dict[str, Any] = {
    "ScaledJob": v1alpha1.ScaledJob,
    "TriggerAuthentication": v1alpha1.TriggerAuthentication,
}
#: Made by hand, or by what keeps a company's secrets; infra/kubernetes/README.md lists them.
BY_HAND = {
    "fitq-token": {"FITQ_TOKEN", "FITQ_SCALER_TOKEN"},
    "fitq-redis": {"FITQ_REDIS_URL"},
    **{
        f"fitq-objects-{user}": {"FITQ_S3_ACCESS_KEY", "FITQ_S3_SECRET_KEY"}
        for user in ("control", "worker", "scoring", "backup")
    },
    "fitq-tls": {"tls.crt", "tls.key"},
}
OURS = {"api", "scheduler", "scoring", "worker"}


@pytest.fixture(scope="module", params=OVERLAYS)
def things(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    return render(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    return render("prod", tmp_path_factory.mktemp("prod"))


def test_every_object_fits_kubernetes_own_schema(things: list[Object]) -> None:
    foreign = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1"}
    core = [t for t in things if t["apiVersion"] not in foreign]
    assert len(core) > 15
    for thing in core:
        kubernetes_validate.validate(thing, KUBERNETES_VERSION, strict=True)


def test_the_schemas_notice_what_is_wrong(prod: list[Object]) -> None:
    """What cannot fail proves nothing: one wrong type and one unknown field."""
    broken = msgspec.json.decode(msgspec.json.encode(named(prod, "Deployment")["api"]))
    broken["spec"]["replicas"] = "2"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES_VERSION, strict=True)
    job = msgspec.json.decode(msgspec.json.encode(named(prod, "ScaledJob")["worker-default"]))
    job["spec"]["cooldownPeriod"] = 300  # only a ScaledObject has one
    assert unknown_keys(job) == [".spec.cooldownPeriod"]


@pytest.mark.parametrize("kind", KEDA)
def test_what_keda_reads_fits_its_types_and_has_no_field_it_does_not_know(
    prod: list[Object], kind: str
) -> None:
    assert named(prod, kind)
    for thing in named(prod, kind).values():
        assert unknown_keys(thing) == []


def unknown_keys(thing: Object) -> list[str]:
    """Keys that KEDA's own types drop when they read it; they check the types of the others."""
    read = KEDA[thing["kind"]].model_validate(thing)
    return list(_lost(thing, read.model_dump(by_alias=True, exclude_unset=True, mode="json"), ""))


def _lost(said: Any, kept: Any, path: str) -> Any:
    if isinstance(said, dict):
        for key, value in said.items():
            if key not in kept:
                yield f"{path}.{key}"
            else:
                yield from _lost(value, kept[key], f"{path}.{key}")
    elif isinstance(said, list):
        for n, value in enumerate(said):
            yield from _lost(value, kept[n], f"{path}[{n}]")


def test_the_jobs_that_keda_starts_are_jobs(prod: list[Object]) -> None:
    for scaled in named(prod, "ScaledJob").values():
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "x"},
            "spec": scaled["spec"]["jobTargetRef"],
        }
        kubernetes_validate.validate(job, KUBERNETES_VERSION, strict=True)


def test_every_name_that_is_used_is_there(things: list[Object]) -> None:
    """Generated names end in a hash; kustomize must have followed them into every place, KEDA's too."""
    generated = named(things, "Secret")
    secrets = {n: set(s.get("data", {})) for n, s in generated.items()} or BY_HAND
    maps = named(things, "ConfigMap")
    for who, pod in pods(things):
        for container in pod["spec"]["containers"]:
            for source in container.get("envFrom", []):
                assert source["configMapRef"]["name"] in maps, who
            for entry in container["env"]:
                kept = entry.get("valueFrom", {})
                if used := kept.get("secretKeyRef"):
                    assert used["key"] in secrets[used["name"]], who
                if used := kept.get("configMapKeyRef"):
                    assert used["key"] in maps[used["name"]]["data"], who
        for volume in pod["spec"]["volumes"]:
            assert volume.get("configMap", {"name": next(iter(maps))})["name"] in maps, who
            if claim := volume.get("persistentVolumeClaim"):
                assert claim["claimName"] in named(things, "PersistentVolumeClaim"), who
    for authentication in named(things, "TriggerAuthentication").values():
        for target in authentication["spec"]["secretTargetRef"]:
            assert target["key"] in secrets[target["name"]]
    for ingress in named(things, "Ingress").values():
        assert {tls["secretName"] for tls in ingress["spec"]["tls"]} <= secrets.keys()


def test_every_selector_finds_something(things: list[Object]) -> None:
    labels = {who: pod["metadata"]["labels"] for who, pod in pods(things)}
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
        for name, thing in named(things, kind).items():
            spec = thing["spec"]
            selector = (
                {"matchLabels": spec["selector"]}
                if kind == "Service"
                else spec.get("selector", spec.get("podSelector"))
            )
            if name.endswith(("redis", "objects")) and kind == "NetworkPolicy":
                continue  # for the component stores, which an overlay may have or not
            assert any(matches(selector, found) for found in labels.values()), f"{kind} {name}"
    for name, scaler in named(things, "HorizontalPodAutoscaler").items():
        assert scaler["spec"]["scaleTargetRef"]["name"] in named(things, "Deployment"), name
    for ingress in named(things, "Ingress").values():
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                ports = named(things, "Service")[service["name"]]["spec"]["ports"]
                assert service["port"]["name"] in [p["name"] for p in ports]


def test_no_pod_has_more_rights_than_it_needs(things: list[Object]) -> None:
    for who, pod in pods(things):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, who
        assert spec["securityContext"]["runAsNonRoot"] is True, who
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, who
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), who
        assert all("hostPath" not in volume for volume in spec["volumes"]), who
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, who
            assert context["allowPrivilegeEscalation"] is False, who
            assert context["capabilities"] == {"drop": ["ALL"]}, who
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), who
            assert "memory" in container["resources"]["limits"], who


def test_nobody_is_told_a_secret_that_is_not_theirs(things: list[Object]) -> None:
    told: dict[str, set[str]] = {}
    for _, pod in pods(things):
        for container in pod["spec"]["containers"]:
            used = [
                e["valueFrom"]["secretKeyRef"]
                for e in container["env"]
                if "secretKeyRef" in e.get("valueFrom", {})
            ]
            names = {re.sub(r"-[a-z0-9]{10}$", "", u["name"]) for u in used}
            told.setdefault(container["name"], set()).update(names)
    assert told["scheduler"] == {"fitq-redis", "fitq-objects-control"}, "no token"
    assert told["worker"] == {"fitq-redis", "fitq-objects-worker"}, (
        "no key that writes or reads more than runs"
    )
    assert told["scoring"] == {"fitq-token", "fitq-objects-scoring"}, "no Redis, and nothing that can write"
    assert told["api"] == {"fitq-token", "fitq-redis", "fitq-objects-control"}
    assert told.get("backup", {"fitq-objects-backup"}) == {"fitq-objects-backup"}
    for config in named(things, "ConfigMap").values():
        secret = {variable(f.name) for f in dataclasses.fields(Settings) if f.metadata["secret"]}
        assert not secret & config["data"].keys()


def test_the_users_of_the_object_store_are_made_by_the_one_script(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Each under the key that its program has; the script with its policies is the one that compose runs."""
    things = render("dev", tmp_path_factory.mktemp("users"))
    (script,) = [c["data"] for n, c in named(things, "ConfigMap").items() if n.startswith("minio-users-")]
    assert script == {"users.sh": (ROOT / "infra/minio/users.sh").read_text()}
    job = named(things, "Job")["minio-users"]["spec"]
    assert job["ttlSecondsAfterFinished"] <= 60, "what a job does cannot be changed while it is there"
    (container,) = job["template"]["spec"]["containers"]
    assert container["command"] == ["sh", "/etc/fitq/users.sh"]
    given = {e["name"]: e.get("valueFrom", {}).get("secretKeyRef", {}) for e in container["env"]}
    secrets = {n: s["data"] for n, s in named(things, "Secret").items()}
    for user in ("control", "worker", "scoring", "backup"):
        (secret,) = [n for n in secrets if n.startswith(f"fitq-objects-{user}-")]
        assert given[f"{user.upper()}_KEY"] == {"name": secret, "key": "FITQ_S3_SECRET_KEY"}
        assert b64decode(secrets[secret]["FITQ_S3_ACCESS_KEY"]).decode() == f"fitq-{user}"
    assert len({s["FITQ_S3_SECRET_KEY"] for s in secrets.values() if "FITQ_S3_SECRET_KEY" in s}) == 4


def test_only_workers_have_the_secrets_of_runs_and_start_without_any(things: list[Object]) -> None:
    for who, pod in pods(things):
        mounted = [v for v in pod["spec"]["volumes"] if "secret" in v]
        (container,) = pod["spec"]["containers"]
        if container["name"] != "worker":
            assert mounted == [], who
            continue
        (volume,) = mounted
        assert volume["secret"] == {"secretName": "fitq-runs", "optional": True, "defaultMode": 0o440}, who
        (place,) = [m for m in container["volumeMounts"] if m["name"] == volume["name"]]
        assert place["readOnly"] is True
        given = {e["name"]: e.get("value") for e in container["env"]}
        assert given["FITQ_SECRETS_FOLDER"] == place["mountPath"]


def test_programs_get_only_settings_that_exist_and_images_of_this_repository(things: list[Object]) -> None:
    known = {variable(f.name) for f in dataclasses.fields(Settings)}
    (config,) = [c for n, c in named(things, "ConfigMap").items() if n.startswith("fitq-")]
    assert config["data"].keys() <= known
    for who, pod in pods(things):
        for container in pod["spec"]["containers"]:
            if container["name"] not in OURS:
                continue
            given = {e["name"] for e in container["env"] if e["name"].startswith("FITQ_")}
            assert given <= known, who
            assert container["name"] in container["image"], who
            assert ":" in container["image"].rpartition("/")[2], f"{who} has no fixed version"
            context = pod["spec"]["securityContext"]
            user = f"{context['runAsUser']}:{context['runAsGroup']}"
            assert last(container["name"], "USER") == user, "the user of the image"


@pytest.mark.parametrize("name", ["api", "scoring"])
def test_what_people_call_follows_its_load_outlives_a_node_and_ends_in_order(
    prod: list[Object], name: str
) -> None:
    deployment, scaler = (named(prod, kind)[name] for kind in ("Deployment", "HorizontalPodAutoscaler"))
    assert "replicas" not in deployment["spec"], "an apply would undo what the autoscaler did"
    assert scaler["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    assert 2 <= scaler["spec"]["minReplicas"] < scaler["spec"]["maxReplicas"]
    assert scaler["spec"]["metrics"]
    assert_kept_apart(prod, name)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz", "what asks no store"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    command, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert pod["terminationGracePeriodSeconds"] >= float(seconds) + STOP_SECONDS + 5


def test_there_are_two_schedulers_apart_from_each_other(prod: list[Object]) -> None:
    assert named(prod, "Deployment")["scheduler"]["spec"]["replicas"] == 2, "it has no autoscaler"
    assert "scheduler" not in named(prod, "HorizontalPodAutoscaler")
    assert_kept_apart(prod, "scheduler")


def assert_kept_apart(things: list[Object], name: str) -> None:
    """A node that is drained leaves one, and they are spread over nodes."""
    template = named(things, "Deployment")[name]["spec"]["template"]
    labels = template["metadata"]["labels"]
    budget = named(things, "PodDisruptionBudget")[name]["spec"]
    assert budget["minAvailable"] == 1
    assert matches(budget["selector"], labels)
    (spread,) = template["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["maxSkew"]) == ("kubernetes.io/hostname", 1)
    assert matches(spread["labelSelector"], labels)


def test_no_program_is_restarted_because_a_store_is_away(things: list[Object]) -> None:
    """tests/faults has a worker whose Redis is away live by this very command."""
    for who, pod in pods(things):
        for container in pod["spec"]["containers"]:
            if container["name"] not in OURS:
                continue
            probe = container["livenessProbe"]
            if container["name"] in ("api", "scoring"):
                assert probe["httpGet"]["path"] == "/healthz", who
                continue
            assert probe["exec"]["command"] == ["python", "-m", "fitq.heartbeat"], who
            (file,) = [e["value"] for e in container["env"] if e["name"] == "FITQ_HEARTBEAT"]
            assert str(Path(file).parent) in [m["mountPath"] for m in container["volumeMounts"]], who


def test_probes_ask_what_the_programs_answer(things: list[Object]) -> None:
    routes = {r.path for r in ROUTES if isinstance(r, Route)}
    for who, pod in pods(things):
        for container in pod["spec"]["containers"]:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = container.get(probe, {})
                if "httpGet" in asked and container["name"] in OURS:
                    assert asked["httpGet"]["path"] in routes, who
                    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
                    default = getattr(Settings(), f"{container['name']}_port")
                    assert ports[asked["httpGet"]["port"]] == default, who
    names = {e["name"]: e.get("value") for e in _container(things, "api")["env"]}
    assert names["FITQ_SCORING_INSIDE_URL"] == _address(things, "scoring")
    assert names["FITQ_ALLOWED_HOSTS"].startswith("$(POD_IP),"), "probes and Prometheus call by address"


def _address(things: list[Object], name: str) -> str:
    """Of a Service, as those in its namespace say it."""
    (port,) = named(things, "Service")[name]["spec"]["ports"]
    return f"http://{name}:{port['port']}"


def _container(things: list[Object], name: str) -> Object:
    return next(c for _, p in pods(things) for c in p["spec"]["containers"] if c["name"] == name)


def test_what_comes_from_outside_streams_and_sees_no_numbers(prod: list[Object]) -> None:
    usual, metrics = (named(prod, "Ingress")[name] for name in ("fitq", "fitq-metrics"))
    said = usual["metadata"]["annotations"]
    for what in ("proxy-buffering", "proxy-request-buffering"):
        assert said[f"nginx.ingress.kubernetes.io/{what}"] == "off"
    closed = {"nginx.ingress.kubernetes.io/whitelist-source-range": "127.0.0.1/32"}
    assert metrics["metadata"]["annotations"] == closed
    assert [r["host"] for r in metrics["spec"]["rules"]] == [r["host"] for r in usual["spec"]["rules"]]
    for rule in metrics["spec"]["rules"]:
        assert [(p["path"], p["pathType"]) for p in rule["http"]["paths"]] == [("/metrics", "Prefix")]


def test_pods_that_fill_a_disk_ask_for_room_on_one(things: list[Object]) -> None:
    for who, pod in pods(things):
        (container,) = pod["spec"]["containers"]
        if container["name"] in ("worker", "backup"):
            assert "ephemeral-storage" in container["resources"]["requests"], who


def test_keda_asks_our_api_for_a_number_that_it_has(prod: list[Object]) -> None:
    routes = [r for r in ROUTES if isinstance(r, Route)]
    (api,) = [s for n, s in named(prod, "Service").items() if n == "api"]
    for name, scaled in named(prod, "ScaledJob").items():
        (trigger,) = scaled["spec"]["triggers"]
        told = trigger["metadata"]
        assert all(isinstance(v, str) for v in told.values()), "KEDA takes text only"
        host, _, path = told["url"].removeprefix("http://").partition("/")
        namespace, port = api["metadata"]["namespace"], api["spec"]["ports"][0]["port"]
        assert host == f"api.{namespace}.svc.cluster.local:{port}"
        pool = next(
            e["value"] for e in scaled["spec"]["jobTargetRef"]["template"]["spec"]["containers"][0]["env"]
            if e["name"] == "FITQ_POOL"
        )  # fmt: skip
        assert path == f"v1/pools/{pool}", name
        assert any(r.path == "/v1/pools/{pool}" and "GET" in (r.methods or ()) for r in routes)
        assert told["valueLocation"] in {f.name for f in msgspec.structs.fields(PoolRecord)}
        assert trigger["authenticationRef"]["name"] in named(prod, "TriggerAuthentication")


def test_a_run_of_a_pool_at_zero_waits_for_a_worker_and_keda_is_answered_before(
    prod: list[Object], settings: Settings
) -> None:
    (config,) = named(prod, "ConfigMap").values()
    told = Settings.from_environment(config["data"])
    backend = open_backend(
        dataclasses.replace(settings, scaled_pools=told.scaled_pools, start_worker=told.start_worker)
    )
    backend.objects.ensure_bucket()
    for scaled in named(prod, "ScaledJob").values():
        (container,) = scaled["spec"]["jobTargetRef"]["template"]["spec"]["containers"]
        (pool,) = [e["value"] for e in container["env"] if e["name"] == "FITQ_POOL"]
        assert pool in backend.scaled_pools
        first = pools.find_pool(backend, pool).demand  # not 404: its ScaledJob would not be ready
        assert first == 1, "a job is to tell which functions its image has"
        assert reason_in(backend, pool) == "waiting for a worker to start"
    elsewhere = reason_in(backend, "elsewhere")
    assert "ScaledJob with FITQ_POOL=elsewhere" in elsewhere
    assert "fitq up" not in elsewhere, "nothing here would heed it"


def reason_in(backend: Backend, pool: str) -> str:
    """What a run is told that is submitted to a pool without workers."""
    backend.state.publish_functions(pool, [FunctionRecord(name=f"fit_{pool}", pool=pool)])
    return submission.submit(backend, RunRequest(function=f"fit_{pool}", pool=pool)).timeline[0].reason


def test_a_job_takes_one_run_and_is_left_alone_while_it_does(prod: list[Object]) -> None:
    for scaled in named(prod, "ScaledJob").values():
        spec = scaled["spec"]
        assert spec["rollout"] == {"strategy": "gradual"}
        assert 1 <= spec["successfulJobsHistoryLimit"] <= spec["failedJobsHistoryLimit"] <= 100
        assert spec["jobTargetRef"]["backoffLimit"] == 0
        pod = spec["jobTargetRef"]["template"]
        assert pod["spec"]["restartPolicy"] == "Never"
        assert {"FITQ_ONE_SHOT": "1"}.items() <= {
            e["name"]: e.get("value") for e in pod["spec"]["containers"][0]["env"]
        }.items()
        assert pod["metadata"]["annotations"] == {
            "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
            "karpenter.sh/do-not-disrupt": "true",
        }
    assert "worker" not in named(prod, "Deployment"), "jobs stand in its place"


def test_alerts_speak_of_numbers_that_are_counted(prod: list[Object]) -> None:
    counted = {f"fitq_pool_{field}" for field in ("queued", "running", "workers")}
    source = (ROOT / "src/fitq/api/health.py").read_text()
    assert all(field.removeprefix("fitq_pool_") in source for field in counted)
    assert '"fitq_scoring_rejections"' in (ROOT / "src/fitq/scoring/measures.py").read_text()
    counted.add("fitq_scoring_rejections_total")
    for rule in named(prod, "PrometheusRule")["fitq"]["spec"]["groups"][0]["rules"]:
        assert set(re.findall(r"fitq_\w+", rule["expr"])) <= counted
    for monitor in named(prod, "ServiceMonitor").values():
        labels = [s["metadata"]["labels"] for s in named(prod, "Service").values()]
        assert any(matches(monitor["spec"]["selector"], found) for found in labels)
