"""What is in deploy/: valid by the rules of those who read it, and right for the collector."""

import copy
import json
import re
import shutil

import compose_spec
import kubernetes_validate
import pytest
import yaml
from support.line import ROOT
from support.terminal import run_plain

from collector.daemon.line import STOP_S

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yaml").read_text())
DOCUMENTS = [
    document
    for file in sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
]


def kind(name):
    (found,) = [document for document in DOCUMENTS if document["kind"] == name]
    return found


# --- compose


def test_compose_takes_the_file_and_would_not_take_a_typo():
    compose_spec.PyCompose.from_json(json.dumps(COMPOSE))
    wrong = copy.deepcopy(COMPOSE)
    wrong["services"]["collector"]["read_olny"] = True
    with pytest.raises(ValueError, match="read_olny"):
        compose_spec.PyCompose.from_json(json.dumps(wrong))


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_each_container_of_compose_is_hardened_and_reached_from_this_box_only(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for volume in service["volumes"]:
        source = volume.partition(":")[0]
        if source.startswith("."):
            assert (ROOT / "deploy" / "compose" / source).exists(), volume
        else:
            assert source in COMPOSE["volumes"]


def test_compose_gives_the_daemon_the_time_that_it_needs_to_stop():
    service = COMPOSE["services"]["collector"]
    assert int(service["stop_grace_period"].removesuffix("s")) > STOP_S


def test_the_port_that_compose_opens_is_where_the_figures_are():
    stations = yaml.safe_load((ROOT / "deploy" / "compose" / "stations.yaml").read_text())
    port = stations["metrics"]["listen"].removeprefix("0.0.0.0:")
    assert COMPOSE["services"]["collector"]["network_mode"] == "service:zerobus"
    assert COMPOSE["services"]["zerobus"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    page = (ROOT / "docs" / "install.md").read_text()
    asked = (
        f'"Authorization: Bearer {stations["metrics"]["token"]}" http://127.0.0.1:{port}/metrics'
    )
    assert asked in page


def test_the_configuration_of_compose_is_one(tmp_path):
    shutil.copy(ROOT / "deploy" / "compose" / "stations.yaml", tmp_path)
    shutil.copytree(ROOT / "tables", tmp_path / "tables")
    done = run_plain("check", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["warnings"] == []


# --- kubernetes


def test_kubernetes_takes_each_document_and_would_not_take_a_typo():
    assert len(DOCUMENTS) == 5
    latest = kubernetes_validate.latest_version()
    for document in DOCUMENTS:
        kubernetes_validate.validate(document, latest, strict=True)
    wrong = copy.deepcopy(kind("StatefulSet"))
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 30
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, latest, strict=True)


def test_a_pod_has_the_time_to_stop_and_writes_to_its_volumes_only():
    spec = kind("StatefulSet")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > STOP_S
    assert spec["securityContext"]["runAsNonRoot"] is True
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    written = {one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")}
    assert written == {"/var/lib/collector", "/run/collector", "/tmp"}


def test_the_user_and_the_folders_of_a_pod_are_those_of_the_image():
    text = (ROOT / "Dockerfile").read_text()
    context = kind("StatefulSet")["spec"]["template"]["spec"]["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in text
    assert "STATE_DIRECTORY=/var/lib/collector" in text
    assert "RUNTIME_DIRECTORY=/run/collector" in text


@pytest.fixture
def pod(tmp_path):
    """The folders of a pod, as its volumes mount them."""
    spec = kind("StatefulSet")["spec"]["template"]["spec"]
    (config,) = [volume["configMap"] for volume in spec["volumes"] if "configMap" in volume]
    for one in config["items"]:
        file = tmp_path / one["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        text = kind("ConfigMap")["data"][one["key"]]
        file.write_text(text.replace("/etc/collector-secret", str(tmp_path)))
    (secret,) = [volume["secret"] for volume in spec["volumes"] if "secret" in volume]
    for one in secret["items"]:
        (tmp_path / one["path"]).write_text(kind("Secret")["stringData"][one["key"]])
    return tmp_path


def test_a_pod_is_called_by_its_name_and_shares_its_messages(pod):
    for number in range(2):
        variables = f"POD_NAME=collector-{number}\nDATABRICKS_CLIENT_ID=it\n"
        (pod / ".env").write_text(variables)
        done = run_plain("check", "--json", folder=pod)
        assert done.returncode == 0, done.stdout + done.stderr
        document = json.loads(done.stdout)
        assert (document["gateway"], document["warnings"]) == (f"collector-{number}", [])
        for station in document["stations"]:
            assert all(text.startswith("$share/collector/") for text in station["filters"])


def test_the_probes_are_commands_of_ours():
    (container,) = kind("StatefulSet")["spec"]["template"]["spec"]["containers"]
    for name, asked in (("startup", "live"), ("liveness", "live"), ("readiness", "ready")):
        probe = container[f"{name}Probe"]
        assert probe["exec"]["command"] == ["collector", "status", "--probe", asked]
        assert probe["timeoutSeconds"] >= 10


def test_prometheus_finds_the_pods_by_the_labels_and_the_port_that_they_have():
    page = (ROOT / "docs" / "metrics.md").read_text()
    section = page.partition("### In Kubernetes\n")[2]
    (job,) = yaml.safe_load(re.search(r"```yaml\n(.*?)```", section, re.DOTALL)[1])[
        "scrape_configs"
    ]
    kept = {one["source_labels"][0]: one.get("regex") for one in job["relabel_configs"]}
    template = kind("StatefulSet")["spec"]["template"]
    assert template["metadata"]["labels"] == {
        "app.kubernetes.io/name": kept["__meta_kubernetes_pod_label_app_kubernetes_io_name"]
    }
    (port,) = template["spec"]["containers"][0]["ports"]
    assert port["name"] == kept["__meta_kubernetes_pod_container_port_name"]
    stations = yaml.safe_load(kind("ConfigMap")["data"]["stations.yaml"])
    assert stations["metrics"]["listen"] == f"0.0.0.0:{port['containerPort']}"


# --- mosquitto


def test_the_file_for_mosquitto_is_that_of_its_page():
    page = (ROOT / "docs" / "mosquitto.md").read_text()
    (shown,) = re.findall(r"^```\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert (ROOT / "deploy" / "mosquitto" / "collector.conf").read_text() == shown


def test_the_broker_of_compose_keeps_as_much_as_that_of_a_box():
    kept = re.compile(r"^(persistence|autosave\w*|max_\w+|persistent_\w+) .*$", re.MULTILINE)
    files = ("mosquitto/collector.conf", "compose/mosquitto.conf")
    box, compose = (
        {one[0] for one in kept.finditer((ROOT / "deploy" / f).read_text())} for f in files
    )
    assert box == compose
