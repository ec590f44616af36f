"""The files to deploy with: they name keys that exist, keep one desk from being two, and give nothing away."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from bot.config import Settings
from tests.house import bill
from tests.house.source import ROOT, read

UNIT = Path("deploy/otpdesk.service")
COMPOSE = Path("deploy/compose.yaml")
KUBERNETES = Path("deploy/kubernetes.yaml")


def _environment_keys(text: str) -> set[tuple[str, str]]:
    return {(section.lower(), key.lower()) for section, key in re.findall(r"OTPDESK_([A-Z]+)__([A-Z_]+)", text)}


def test_every_variable_names_a_key_of_the_configuration() -> None:
    for path in (UNIT, COMPOSE, KUBERNETES, Path("Dockerfile")):
        keys = _environment_keys(read(path))
        assert keys, path
        for section, key in keys:
            model = Settings.model_fields[section].annotation
            assert key in getattr(model, "model_fields", {}), f"{path}: {section}.{key}"


def test_no_file_holds_a_token() -> None:
    for path in (ROOT / "deploy").iterdir():
        assert not re.search(r"\d{5,}:[A-Za-z0-9_-]{20,}", path.read_text(encoding="utf-8")), path
        assert "TOKEN:" not in path.read_text(encoding="utf-8")
        assert "TOKEN=" not in path.read_text(encoding="utf-8")


def test_the_unit_is_hardened_and_waits_for_the_desks_own_word() -> None:
    lines = read(UNIT).splitlines()
    wanted = (
        "Type=notify WatchdogSec=120 DynamicUser=yes CapabilityBoundingSet= NoNewPrivileges=yes ProtectSystem=strict"
    )
    more = "PrivateTmp=yes PrivateDevices=yes MemoryDenyWriteExecute=yes RestartPreventExitStatus=2 UMask=0077"
    assert [line for line in f"{wanted} {more}".split() if line not in lines] == []


def test_the_container_has_nothing_it_does_not_need() -> None:
    (service,) = yaml.safe_load(read(COMPOSE))["services"].values()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "10001:10001"
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    dockerfile = read(Path("Dockerfile"))
    assert dockerfile.count("\nFROM ") + dockerfile.startswith("FROM ") == 2
    assert "\nUSER 10001:10001\n" in dockerfile
    assert "\nHEALTHCHECK " in dockerfile


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is not installed")
def test_no_desk_outlives_its_lease(tmp_path: Path) -> None:
    """With programs that only live and die; `make standby` does it with the real ones."""
    lasting = "echo $$ >>$0.pid; touch $DATABASE.alive; exec sleep 60"
    programs = {
        "etcdctl": "echo key; sleep 4",
        "otpdesk": lasting,
        "litestream": f'[ "$1" = restore ] || {{ {lasting}; }}',
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o700)
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DATABASE": str(tmp_path / "desk.sqlite3")}
    ended = subprocess.run(  # noqa: S603
        [ROOT / "deploy" / "take-over"], env=variables, capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stderr) == (1, "the lease is lost\n")
    for name in ("otpdesk", "litestream"):
        assert not Path(f"/proc/{(tmp_path / f'{name}.pid').read_text(encoding='utf-8').strip()}/cwd").exists(), name


def test_kubernetes_never_runs_two() -> None:
    claim, deployment = yaml.safe_load_all(read(KUBERNETES))
    spec: dict[str, Any] = deployment["spec"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    probes = {name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")}
    assert probes == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"/data", "/tmp", "/run/secrets/otpdesk"}


def test_the_bill_of_materials_names_every_package_with_its_hashes() -> None:
    found = json.loads(json.dumps(bill.bill("1.2.3")))
    named = set(re.findall(r"^([a-z0-9][\w.-]*)(?:\[.*\])?==", read(Path("requirements/run.txt")), re.MULTILINE))
    assert {part["name"] for part in found["components"]} == named
    assert all(part["properties"] for part in found["components"])
    assert found["specVersion"] == "1.6"


def test_the_page_of_licences_names_every_package() -> None:
    listed = set(re.findall(r"^\| ([\w.-]+) \|", bill.PAGE.read_text(encoding="utf-8"), re.MULTILINE)) - {"package"}
    assert listed == {name for name, _, _ in bill.pins()}, "run: make docs"
