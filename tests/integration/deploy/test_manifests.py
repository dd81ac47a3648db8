"""What stands in `deploy/`, judged by the tools that know it, and by what the service relies on."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from support.deployed import DEPLOY, make_secrets, tool
from support.processes import ROOT

from ops.cli import main
from ops.embedded import server_binary
from shared.settings import Settings

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
OBJECTS: list[dict[str, Any]] = [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())]
PODS = {
    f"{each['kind']}/{each['metadata']['name']}": each["spec"]["template"]
    for each in OBJECTS
    if "template" in each.get("spec", {})
}
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def judged(*command: str | Path) -> str:
    """What a tool says; it must be content."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# The image


def test_the_linter_of_dockerfiles_finds_nothing() -> None:
    assert judged(tool("hadolint"), DEPLOY / "container" / "Dockerfile") == ""


def test_the_image_runs_as_nobody_special_with_no_tools_in_its_last_stage() -> None:
    *_, last = (DEPLOY / "container" / "Dockerfile").read_text().split("\nFROM ")
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", last, re.MULTILINE)
    assert "pip uninstall -y pip" in last
    assert not re.search(r"apt-get|gcc|pip (--python \S+ )?install", last)


def test_all_that_the_image_copies_is_let_through_and_nothing_else() -> None:
    said = (DEPLOY / "container" / "Dockerfile").read_text()
    copied = {
        word.rstrip("/")
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", said, re.MULTILINE)
        for word in line.split()
    }
    ignored = (DEPLOY / "container" / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


# Compose


def test_the_compose_file_is_what_the_specification_says() -> None:
    files = [DEPLOY / "compose" / name for name in ("compose.yaml", "tenants.yaml")]
    judged(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *files)


@pytest.mark.parametrize("name", list(COMPOSE["services"]))
def test_each_service_of_the_compose_file_is_pinned_hardened_and_watched(name: str) -> None:
    service = COMPOSE["services"][name]
    _, _, tag = service["image"].rpartition(":")
    assert re.search(r"\d+\.\d+", tag), "an image with a version"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "healthcheck" in service or name == "receiver", "the receiver's stands in the image"
    assert service["restart"] == ("no" if name == "operator" else "unless-stopped")
    for port in service.get("ports", []):
        assert name == "caddy" or port.startswith("127.0.0.1:"), "to the world by the proxy alone"
    settings = {row.metadata["variable"] for row in Settings.__dataclass_fields__.values()}
    if service["image"].startswith("gelato-rollup:"):
        assert set(service.get("environment", {})) <= settings


def test_whatever_the_compose_file_mounts_is_there_or_is_made(tmp_path: Path) -> None:
    assert make_secrets(tmp_path / "secrets", "valkey:6379").returncode == 0
    places = [tmp_path if "secrets" in where else DEPLOY / "compose" for where in ("secrets", "")]
    named = [each["file"] for each in COMPOSE["secrets"].values()]
    for service in COMPOSE["services"].values():
        named += service.get("env_file", [])
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                named.append(source)
            else:
                assert source in COMPOSE["volumes"]
    assert len(named) > 8
    for each in named:
        assert any((place / each).exists() for place in places), each


def test_the_receiver_believes_the_proxys_network_and_only_that() -> None:
    (subnet,) = [each["subnet"] for each in COMPOSE["networks"]["front"]["ipam"]["config"]]
    assert COMPOSE["services"]["receiver"]["environment"]["GELATO_TRUSTED_PROXIES"] == subnet
    assert COMPOSE["services"]["worker"]["deploy"]["replicas"] == 2


def test_prometheus_takes_the_configuration_of_the_compose_file() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus); CI has it")
    judged("promtool", "check", "config", "--syntax-only", DEPLOY / "compose" / "prometheus.yml")


def test_grafana_finds_the_dashboard_where_the_compose_file_puts_it() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "gelato-rollup.yml").read_text())["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    mounted = [volume.split(":")[1] for volume in COMPOSE["services"]["grafana"]["volumes"]]
    assert any(where.startswith(provider["options"]["path"] + "/") for where in mounted)
    assert source["url"] == "http://prometheus:9090"


# Kubernetes


def test_the_manifests_are_what_the_published_schemas_say() -> None:
    said = judged(tool("kubernetes-validate"), "--strict", "-k", "1.31", *MANIFESTS)
    assert said.count(" passed for resource ") == len(OBJECTS) > 15


@pytest.mark.parametrize("name", list(PODS))
def test_each_pod_is_restricted_and_says_what_it_needs(name: str) -> None:
    spec = PODS[name]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert re.search(r":\d+\.\d+", container["image"])
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert "tmp" in {mount["name"] for mount in container["volumeMounts"]} or name == "StatefulSet/valkey"


def test_receivers_have_probes_and_a_spool_that_outlives_them() -> None:
    receiver = next(
        each for each in OBJECTS if each["kind"] == "StatefulSet" and each["metadata"]["name"] == "receiver"
    )
    (container,) = receiver["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert {"name": "spool", "mountPath": "/data"} in container["volumeMounts"]
    assert [claim["metadata"]["name"] for claim in receiver["spec"]["volumeClaimTemplates"]] == ["spool"]
    assert {"name": "GELATO_SPOOL_PERSISTENT", "value": "yes"} in container["env"]
    assert receiver["spec"]["replicas"] > 1, "a disruption budget of one must leave something to disrupt"


def test_what_selects_pods_finds_some_and_secrets_are_among_the_examples() -> None:
    labels = [pod["metadata"]["labels"]["app"] for pod in PODS.values()]
    for each in OBJECTS:
        selector = each.get("spec", {}).get("selector", each.get("spec", {}).get("podSelector")) or {}
        wanted = selector.get("matchLabels", selector).get("app")
        assert wanted is None or wanted in labels, each["metadata"]["name"]
    secrets = {each["metadata"]["name"] for each in OBJECTS if each["kind"] == "Secret"}
    for pod in PODS.values():
        for container in pod["spec"]["containers"]:
            assert {source["secretRef"]["name"] for source in container.get("envFrom", [])} <= secrets
    budgets = {each["metadata"]["name"] for each in OBJECTS if each["kind"] == "PodDisruptionBudget"}
    assert budgets == {"receiver", "worker"}


# systemd


@pytest.mark.parametrize("more", [None, "tenants.conf"])
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_the_units_are_sound_and_exposed_as_little_as_a_network_service_can_be(
    unit: Path, more: str | None, tmp_path: Path
) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    installed = tmp_path / unit.name  # with a program that is there
    installed.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE))
    if more is not None:
        (tmp_path / f"{unit.name}.d").mkdir()
        shutil.copy(DEPLOY / "systemd" / more, tmp_path / f"{unit.name}.d" / more)
    assert judged("systemd-analyze", "verify", "--man=no", installed) == ""
    said = judged("systemd-analyze", "security", "--offline=true", "--threshold=15", installed)
    assert re.search(r"Overall exposure level for \S+: 1\.[0-5] OK", said)


def test_a_service_reads_its_tenants_again_where_each_deployment_puts_them() -> None:
    """A reload makes systemd's copy anew; the containers have a directory, in which a file may be replaced."""
    said = (DEPLOY / "systemd" / "tenants.conf").read_text()
    (before,) = re.findall(r"^ExecStartPre=(.+)$", said, re.MULTILINE)
    assert re.findall(r"^ExecReload=(.*)$", said, re.MULTILINE) == ["", before, "/bin/kill -HUP $MAINPID"]
    override = yaml.safe_load((DEPLOY / "compose" / "tenants.yaml").read_text())["services"]
    for name in ("receiver", "worker", "operator"):
        assert name in COMPOSE["services"]
        (volume,) = override[name]["volumes"]
        _, directory, _ = volume.split(":")
        file = override[name]["environment"]["GELATO_TENANTS_FILE"]
        assert str(Path(file).parent) == directory
        (pod,) = [pod for pod in PODS.values() if pod["metadata"]["labels"]["app"] == name]
        assert {"name": "tenants", "mountPath": directory, "readOnly": True} in pod["spec"]["containers"][0][
            "volumeMounts"
        ]
        assert pod["spec"]["securityContext"]["fsGroup"] == pod["spec"]["securityContext"]["runAsGroup"]


def test_each_unit_has_a_directory_of_its_own() -> None:
    """With dynamic users, one that two share changes its owner, and its spool's, at each start of the other."""
    directories = [re.findall(r"^StateDirectory=(\S+)", unit.read_text(), re.MULTILINE) for unit in UNITS]
    assert len({one for (one,) in directories}) == len(UNITS) == 2


# Secrets


def test_secrets_are_for_their_owner_and_are_never_made_twice(tmp_path: Path) -> None:
    made = tmp_path / "secrets"
    assert make_secrets(made, "valkey:6379").returncode == 0
    assert made.stat().st_mode & 0o777 == 0o700
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    for name in before:
        # These three are mounted into containers whose users are strangers here; the directory keeps others out.
        readable = 0o044 if name in ("users.acl", "metrics-token", "grafana-password") else 0
        assert (made / name).stat().st_mode & 0o777 == 0o600 | readable, name
    again = make_secrets(made, "valkey:6379")
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


def test_a_server_refuses_the_template_of_its_users(tmp_path: Path) -> None:
    command = [server_binary(), "--port", "0", "--dir", tmp_path, "--aclfile", DEPLOY / "valkey" / "users.acl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode != 0
    assert "ACL errors" in done.stdout


# Platforms


def test_the_procfile_names_commands_that_are_there_and_listens_to_the_platforms_router() -> None:
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    assert set(lines) == {"web", "worker"}
    for line in lines.values():
        program, command = line.split()[-2:]
        assert program == "gelato-rollup"
        assert main.get_command(click.Context(main), command)
    assert lines["web"].startswith("HOST=0.0.0.0 ")
