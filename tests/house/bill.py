"""The bill of materials of a release (CycloneDX 1.6) and the page of licences, both from the lock file.

`make sbom` writes `dist/otpdesk.cdx.json`; `make docs` writes docs/licences.md.
"""

import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.house.source import ROOT, read

BILL = ROOT / "dist" / "otpdesk.cdx.json"
PAGE = ROOT / "docs" / "licences.md"
_PIN = re.compile(r"^(?P<name>[a-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>\S+)(?P<rest>(?:.*\\\n)*.*)$", re.MULTILINE)
_HASH = re.compile(r"sha256:([0-9a-f]{64})")


def pins() -> list[tuple[str, str, list[str]]]:
    """Name, version and hashes of every package that the image holds."""
    return [
        (found["name"], found["version"], _HASH.findall(found["rest"]))
        for found in _PIN.finditer(read(Path("requirements/run.txt")))
    ]


def licence_of(name: str) -> str:
    """What a package says of its licence; packages for other systems are not installed here."""
    try:
        said = dict(importlib.metadata.metadata(name).json)
    except importlib.metadata.PackageNotFoundError:
        return "for other systems than this one"
    classifiers = [line.rpartition(" :: ")[2] for line in said.get("classifier", []) if "License ::" in line]
    return str(said.get("license_expression") or ", ".join(classifiers) or said.get("license", "not said"))[:60]


def bill(version: str) -> dict[str, Any]:
    """The bill of materials of that version of otpdesk."""
    ours = {"type": "application", "name": "otpdesk", "version": version, "bom-ref": "otpdesk"}
    parts = [_component(*pin) for pin in pins()]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**ours, "licenses": [{"license": {"id": "MIT"}}]}},
        "components": parts,
        "dependencies": [{"ref": "otpdesk", "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def page() -> str:
    """The page of licences."""
    names = dict.fromkeys(name for name, _, _ in pins())  # one may be pinned twice, for two releases of Python
    rows = "\n".join(f"| {name} | {licence_of(name)} |" for name in names)
    return (
        "# Licences of what otpdesk is built from\n\n"
        "Every package in the image, as [requirements/run.txt](../requirements/run.txt) pins it, with what it says of\n"
        "its own licence. otpdesk itself is under the [MIT licence](../LICENSE). python-telegram-bot is under the\n"
        "LGPL: it is used as it is and can be replaced by another version. Written by `make docs`; with versions and\n"
        "hashes, for programs: `make sbom`.\n\n"
        f"| package | licence |\n|---|---|\n{rows}\n"
    )


def _component(name: str, version: str, hashes: list[str]) -> dict[str, Any]:
    address = f"pkg:pypi/{name}@{version}"
    return {
        "type": "library",
        "bom-ref": address,
        "name": name,
        "version": version,
        "purl": address,
        "licenses": [{"license": {"name": licence_of(name)}}],
        # One package has a file a system; the lock takes any of them.
        "properties": [{"name": "otpdesk:sha256", "value": value} for value in hashes],
    }


def main() -> None:
    """Write one of the two."""
    if "--page" in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
        return
    version = importlib.metadata.version("otpdesk")
    BILL.parent.mkdir(exist_ok=True)
    BILL.write_text(json.dumps(bill(version), indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{BILL.relative_to(ROOT)}: {len(pins())} packages\n")


if __name__ == "__main__":
    main()
