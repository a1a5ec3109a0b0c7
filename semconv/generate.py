"""Write src/otel_audit/semconv.py from the registries beside it. ``--check`` only reports whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
REGISTRIES = ("audit.yaml", "otel_audit_signal.yaml")
TARGET = HERE.parent / "src" / "otel_audit" / "semconv.py"


def render(registry: dict[str, Any]) -> str:
    """The module's source: one documented constant per attribute, grouped as in the registry."""
    lines = [
        '"""Names of the audit.* attributes. DO NOT EDIT: made from semconv/*.yaml by semconv/generate.py."""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import Final",
    ]
    for group in registry["groups"]:
        lines += ["", f"# {group['brief']}"]
        for attribute in group["attributes"]:
            constant = attribute["id"].upper().replace(".", "_")
            lines += [f'{constant}: Final = "{attribute["id"]}"', f'"""{attribute["brief"]} ({attribute["type"]})"""']
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the module, or with ``--check`` exit 1 when it is not what the registry says."""
    registries = [yaml.safe_load((HERE / name).read_text()) for name in REGISTRIES]
    source = render({"groups": [group for registry in registries for group in registry["groups"]]})
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() != source:
            print("src/otel_audit/semconv.py is not what semconv/*.yaml say: run `python semconv/generate.py`")
            return 1
        return 0
    TARGET.write_text(source)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
