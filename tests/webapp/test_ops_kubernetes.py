"""The example for Kubernetes names what exists: settings, commands, paths, metrics, and its own objects."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from webapp import settings as site
from webapp.ops import up
from webapp.ops.health.middleware import VIEWS
from webapp.ops.services.plan import WORKING

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
VERSION = "1.33"
OTHERS = {"ScaledObject", "ServiceMonitor", "Kustomization", "Component"}
"""Kinds that are not Kubernetes' own."""
Object = dict[str, Any]


@cache
def documents() -> list[tuple[str, Object]]:
    """(file, object); patches are left out."""
    paths = [path for path in sorted(FOLDER.rglob("*.yaml")) if path.parent.name != "gpu"]
    return [(path.name, one) for path in paths for one in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str) -> dict[str, Object]:
    return {one["metadata"]["name"]: one["spec"] for _, one in documents() if one["kind"] == kind}


def containers(deployment: Object) -> list[Object]:
    pod = deployment["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def value(container: Object, name: str) -> int:
    return int(next(one["value"] for one in container["env"] if one["name"] == name))


def test_every_object_fits_the_schema() -> None:
    for file, one in documents():
        if one["kind"] not in OTHERS:
            kubernetes_validate.validate(one, VERSION, strict=True)
            assert one["metadata"]["name"].startswith("autodl"), file


def test_every_file_is_used_but_the_example_of_a_secret() -> None:
    used = set()
    for path in FOLDER.rglob("kustomization.yaml"):
        about = yaml.safe_load(path.read_text())
        used |= {path.parent / name for name in about.get("resources", [])}
        used |= {path.parent / patch["path"] for patch in about.get("patches", [])}
    files = {path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml"}
    assert files - used == {FOLDER / "base" / "secret.example.yaml"}
    assert all(path.exists() for path in used)
    secret = next(one for file, one in documents() if file == "secret.example.yaml")
    assert all("CHANGE-ME" in text or text == "autodl" for text in secret["stringData"].values())


@pytest.mark.parametrize("gpu", [False, True])
def test_kustomize_builds_it(gpu: bool, tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("kubectl is missing; it builds the example without a cluster")
    folder = tmp_path / "kubernetes"
    shutil.copytree(FOLDER, folder)
    if gpu:
        path = folder / "kustomization.yaml"
        path.write_text(re.sub(r"# (- gpu) .*", r"\1", path.read_text()))
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}
    assert {one["metadata"].get("namespace", "autodl") for one in built.values()} == {"autodl"}
    deployments = {name: one["spec"] for (kind, name), one in built.items() if kind == "Deployment"}
    for (kind, _), one in built.items():
        if kind not in OTHERS:
            kubernetes_validate.validate(one, VERSION, strict=True)
    images = {container["image"] for one in deployments.values() for container in containers(one)}
    assert images == {"registry.example.org/autodl:1"}
    (trainer,) = containers(deployments["autodl-trainer"])
    assert trainer["resources"]["limits"].get("nvidia.com/gpu") == (1 if gpu else None)
    assert value(trainer, "STOP_GRACE_S") == site.STOP_GRACE_S
    assert value(trainer, "OMP_NUM_THREADS") == int(trainer["resources"]["limits"]["cpu"])


def test_the_environment_is_what_the_site_reads() -> None:
    config = {one["kind"]: one for file, one in documents() if file in ("config.yaml", "secret.example.yaml")}
    names = {*config["ConfigMap"]["data"], *config["Secret"]["stringData"]}
    for deployment in of_kind("Deployment").values():
        for container in containers(deployment):
            names |= {one["name"] for one in container.get("env", [])}
            sources = [*(next(iter(source.values()))["name"] for source in container["envFrom"])]
            assert sources == [config[kind]["metadata"]["name"] for kind in ("ConfigMap", "Secret")]
    read = "".join((ROOT / path).read_text() for path in ("webapp/settings.py", "README.md", "docs/settings.md"))
    read += "".join(path.read_text() for path in (ROOT / "webapp" / "ops").rglob("*.py"))
    assert {name for name in names if not re.search(rf"\b{name}\b", read)} == set()
    needed = {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "STORAGE_URL", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS"}
    assert needed | {"SITE_URL", "HTTPS", "METRICS_TOKEN"} <= names


def test_the_commands_exist_and_work_on_every_queue() -> None:
    queues: list[str] = []
    roles = set()
    for deployment in of_kind("Deployment").values():
        container = containers(deployment)[-1]
        assert container["command"][:3] == ["python", "-m", up.__name__]
        options = up.parsed(container["command"][3:])
        roles.add(options.role)
        queues += options.queues if options.role == "worker" else []
    assert roles == {"web", "worker"}
    assert sorted(queues) == sorted(WORKING)
    migrate = containers(of_kind("Deployment")["autodl-web"])[0]
    assert migrate["command"] == ["python", "manage.py", "prepare", "--beside"]


def test_probes_and_ports() -> None:
    web = containers(of_kind("Deployment")["autodl-web"])[-1]
    (port,) = web["ports"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"EXPOSE {port['containerPort']}" in dockerfile
    paths = {kind: web[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    assert {get["port"] for get in paths.values()} == {port["name"]}
    assert {kind: get["path"] for kind, get in paths.items()} == {
        "startup": "/healthz",
        "readiness": "/readyz",
        "liveness": "/healthz",
    }
    (monitor,) = of_kind("ServiceMonitor").values()
    assert monitor["endpoints"][0]["path"] in VIEWS
    assert {get["path"] for get in paths.values()} <= VIEWS.keys()
    service = of_kind("Service")["autodl-web"]
    (rule,) = of_kind("Ingress")["autodl"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "autodl-web", "port": {"name": service["ports"][0]["name"]}}
    assert service["ports"][0]["targetPort"] == port["name"]
    config = next(one["data"] for file, one in documents() if file == "config.yaml")
    assert config["ALLOWED_HOSTS"] == rule["host"]
    assert config["CSRF_TRUSTED_ORIGINS"] == config["SITE_URL"] == f"https://{rule['host']}"


def test_objects_name_each_other() -> None:
    deployments = of_kind("Deployment")
    labels = {name: one["template"]["metadata"]["labels"] for name, one in deployments.items()}
    assert {name: one["selector"]["matchLabels"] for name, one in deployments.items()} == labels
    assert {name: one["selector"]["matchLabels"] for name, one in of_kind("PodDisruptionBudget").items()} == labels
    assert of_kind("Service")["autodl-web"]["selector"] == labels["autodl-web"]
    scaled = {name: one["scaleTargetRef"]["name"] for name, one in of_kind("ScaledObject").items()}
    assert scaled == {name: name for name in ("autodl-trainer", "autodl-worker")}
    assert not [name for name in scaled if "replicas" in deployments[name]]  # else each change would set them back
    for one in deployments.values():
        pod = one["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for container in containers(one) for mount in container["volumeMounts"]} == volumes
        claims = {claim["claimName"] for volume in pod["volumes"] if (claim := volume.get("persistentVolumeClaim"))}
        assert claims <= of_kind("PersistentVolumeClaim").keys()


def test_the_data_folder_belongs_to_the_user_of_the_site() -> None:
    """A volume belongs to root, and so would a folder that a mount makes: the first container makes both."""
    folder = next(one["data"]["DATA_DIR"] for file, one in documents() if file == "config.yaml")
    for one in of_kind("Deployment").values():
        for container in containers(one):
            places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert folder.startswith(places.pop("data") + "/")
            assert list(places.values()) == ([f"{folder}/media/uploads"] if container["name"] == "web" else [])


def test_there_is_time_to_stop() -> None:
    """The grace of the pod is that of the site and the end of what hangs; a balancer sees that a pod is not ready."""
    for one in of_kind("Deployment").values():
        container = containers(one)[-1]
        grace_s = value(container, "STOP_GRACE_S")
        assert one["template"]["spec"]["terminationGracePeriodSeconds"] >= grace_s + 2 * (1.2 + up.GRACE_S)
        if container["name"] == "web":
            probe = container["readinessProbe"]
            assert probe["periodSeconds"] * probe["failureThreshold"] < value(container, "DRAIN_S") < grace_s
        else:
            assert grace_s > max(site.BUDGETS_S)


@pytest.mark.django_db
def test_what_is_scaled_by_is_measured(client: Client, queued: Any, redis_socket: Path, settings: Any) -> None:
    settings.RQ_QUEUES = {name: queue | {"URL": f"unix://{redis_socket}"} for name, queue in settings.RQ_QUEUES.items()}
    text = client.get("/metrics").content.decode()
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    for scaled in of_kind("ScaledObject").values():
        (trigger,) = scaled["triggers"]
        query = trigger["metadata"]["query"]
        metrics = re.findall(r"(autodl_\w+)\{(\w+)=~?\"([\w|]+)\"\}", query)
        assert len(metrics) == query.count("autodl_")
        for name, label, values in metrics:
            assert {labels.get(label) for labels in found[name]} - {None}, name
            known = WORKING if label == "queue" else queued.State.values
            assert set(values.split("|")) <= set(known)
