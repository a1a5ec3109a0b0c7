"""docker-compose.yml, the Dockerfile and the collector's configuration fit together and fit the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from otel_audit.receiver.intake import MAX_REQUEST_BYTES, MAX_WAIT_SECONDS
from tests.unit.cli_reference import ROOT, command

_VARIABLE = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")
_ENV = {"AUDIT_ADMIN_PASSWORD": "a1", "AUDIT_WRITER_PASSWORD": "b2", "AUDIT_READER_PASSWORD": "c3"}
_LOOPBACK_PORT = re.compile(r"127\.0\.0\.1:(\d+):(\d+)")


def _interpolated(text: str) -> str:
    return _VARIABLE.sub(lambda match: _ENV.get(match[1], match[2] or ""), text)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(_interpolated((ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    return loaded


@pytest.fixture(scope="module")
def gateway() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "collector-config/gateway.yaml").read_text(encoding="utf-8"))
    return loaded


def _parsed(compose: dict[str, Any], service: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The parameters that the command line sees when the service starts."""
    for name in [name for name in os.environ if name.startswith("OTEL_AUDIT_")]:
        monkeypatch.delenv(name)
    for name, value in compose["services"][service]["environment"].items():
        monkeypatch.setenv(name, value)
    name, *arguments = compose["services"][service]["command"]
    return command(name).make_context(name, arguments).params


def test_each_dependency_of_a_service_is_there(compose: dict[str, Any]) -> None:
    """depends_on names services of the file, and waits for health only where health is checked."""
    services = compose["services"]
    for service in services.values():
        for name, wanted in service.get("depends_on", {}).items():
            assert name in services
            if wanted["condition"] == "service_healthy":
                assert "healthcheck" in services[name]


def test_each_volume_and_configuration_is_defined_and_used(compose: dict[str, Any]) -> None:
    """Named volumes and configs are defined, none is left over, and each mounted file exists."""
    used_volumes, used_configs = set(), set()
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                used_volumes.add(source)
        used_configs |= {config["source"] for config in service.get("configs", [])}
    assert used_volumes == compose["volumes"].keys()
    assert used_configs == compose["configs"].keys()


@pytest.mark.parametrize("service", ["receiver", "dashboard"])
def test_the_command_line_takes_what_compose_gives_it(
    compose: dict[str, Any], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each option exists and each variable is one of that command's, with a value it accepts."""
    parameters = _parsed(compose, service, monkeypatch)
    by_variable = {
        parameter.envvar: parameter.name
        for parameter in command(compose["services"][service]["command"][0]).params
        if parameter.envvar
    }
    for variable, value in compose["services"][service]["environment"].items():
        assert str(parameters[by_variable[variable]]) == value
    assert parameters["host"] == "0.0.0.0"


def test_services_find_each_other_at_the_ports_they_listen_on(
    compose: dict[str, Any], gateway: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every address in compose is a service of it, at a port which that service serves."""
    services = compose["services"]
    receiver = _parsed(compose, "receiver", monkeypatch)
    dashboard = _parsed(compose, "dashboard", monkeypatch)
    assert services["collector"]["environment"]["AUDIT_RECEIVER"] == f"receiver:{receiver['grpc_port']}"
    assert dashboard["otlp_endpoint"] == f"http://receiver:{receiver['grpc_port']}"
    assert f"127.0.0.1:{receiver['http_port']}/healthz" in services["receiver"]["healthcheck"]["test"][-1]
    assert f"127.0.0.1:{dashboard['dashboard_port']}:{dashboard['dashboard_port']}" in services["dashboard"]["ports"]
    protocols = gateway["receivers"]["otlp"]["protocols"]
    listening = {endpoint["endpoint"] for endpoint in (*protocols.values(), gateway["extensions"]["health_check"])}
    published = {_LOOPBACK_PORT.fullmatch(port)[2] for port in services["collector"]["ports"]}  # type: ignore[index]
    assert {f"0.0.0.0:{port}" for port in published} == listening


def test_nothing_is_published_beyond_this_machine(compose: dict[str, Any]) -> None:
    """Ports that ask nobody who they are stay on loopback, and the store's are not published at all."""
    for service in compose["services"].values():
        for port in service.get("ports", []):
            assert _LOOPBACK_PORT.fullmatch(port), port
    assert "ports" not in compose["services"]["clickhouse"]


def test_whoever_opens_the_dashboard_signs_in(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for access tokens, and the file of these is in a volume that its container may write to."""
    dashboard = _parsed(compose, "dashboard", monkeypatch)
    assert dashboard["sign_in"] == "token"
    assert f"access:{dashboard['tokens'].parent}" in compose["services"]["dashboard"]["volumes"]


def test_writer_and_reader_sign_in_as_themselves(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each URL has the user and password that the server is told to create, and the database that is made."""
    roles = compose["configs"]["roles"]["content"]
    database = compose["services"]["clickhouse"]["environment"]["CLICKHOUSE_DB"]
    for service, password, role in (
        ("receiver", _ENV["AUDIT_WRITER_PASSWORD"], "audit_writer"),
        ("dashboard", _ENV["AUDIT_READER_PASSWORD"], "audit_reader"),
    ):
        assert (
            _parsed(compose, service, monkeypatch)["url"] == f"http://{service}:{password}@clickhouse:8123/{database}"
        )
        assert f"CREATE USER IF NOT EXISTS {service} IDENTIFIED BY '{password}'" in roles
        assert f"GRANT {role} TO {service};" in roles


def test_reader_and_writer_share_the_anchors(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The dashboard compares with the folder that the receiver anchors in, and can not write to it."""
    written, read = (_parsed(compose, name, monkeypatch)["anchor_dir"] for name in ("receiver", "dashboard"))
    assert written == read
    assert f"anchors:{written}" in compose["services"]["receiver"]["volumes"]
    assert f"anchors:{read}:ro" in compose["services"]["dashboard"]["volumes"]


def test_a_missing_password_is_said_at_once() -> None:
    """Every secret is asked for, has no default, and is one that the documented command writes."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    required = {match[1] for match in re.finditer(r"\$\{(\w+):\?", text)}
    assert required == {name for name, _ in _VARIABLE.findall(text) if "PASSWORD" in name}
    line = 'for name in ADMIN WRITER READER; do echo "AUDIT_${name}_PASSWORD=$(openssl rand -hex 24)"; done > .env'
    assert required == {f"AUDIT_{name}_PASSWORD" for name in ("ADMIN", "WRITER", "READER")}
    assert line in text
    assert line in (ROOT / "docs/how-to/operate.md").read_text(encoding="utf-8")


def test_the_roles_in_the_documents_are_those_of_compose(compose: dict[str, Any]) -> None:
    """Who sets up a server by hand gives the same rights."""
    documented = re.search(
        r"```sql\n(.*?)```", (ROOT / "docs/how-to/operate.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert documented is not None
    for line in documented[1].strip().splitlines():
        assert line in compose["configs"]["roles"]["content"].splitlines()


_RIGHTS_PROGRAM = """
import sys
from pathlib import Path
import clickhouse_connect
from clickhouse_connect.driver.exceptions import Error
from otel_audit.store._sql_tokens import statements
from otel_audit.store.migrate import migrations

folder, grant, roles = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
config = folder / "config.xml"
config.write_text(
    f"<clickhouse><logger><level>none</level></logger><users_config>{config}</users_config>"
    "<profiles><default/></profiles><quotas><default/></quotas><users><default><password/>"
    "<networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>"
    f"<grants><query>{grant}</query></grants></default></users></clickhouse>"
)

def client(database=None):
    return clickhouse_connect.get_client(
        interface="chdb", path=str(folder / "data"), database=database, chdb_options={"config-file": str(config)}
    )

first = client()
for statement in statements(roles):
    first.query("SELECT formatQuery({statement:String})", parameters={"statement": statement})
first.command("CREATE DATABASE IF NOT EXISTS audit")
for migration in migrations():
    for statement in statements(migration.text):
        policy = {"texts_policy": "default"} if "{texts_policy:String}" in statement else None
        client("audit").command(statement, parameters=policy)
client("audit").command("INSERT INTO audit_writers VALUES ('o', 1, 'w', 0)")
for forbidden in (
    "ALTER TABLE audit_writers DELETE WHERE 1", "ALTER TABLE audit_writers UPDATE writer_id = '' WHERE 1",
    "DELETE FROM audit_writers WHERE 1", "TRUNCATE TABLE audit_writers", "DROP TABLE audit_writers",
    "CREATE OR REPLACE TABLE audit_writers (a UInt8) ENGINE = MergeTree ORDER BY a",
    "RENAME TABLE audit_writers TO elsewhere", "EXCHANGE TABLES audit_writers AND audit_tiles",
    "ALTER TABLE audit_writers DETACH PARTITION tuple()", "DETACH TABLE audit_writers",
    "OPTIMIZE TABLE audit_writers FINAL", "DROP DATABASE audit",
):
    try:
        client("audit").command(forbidden)
    except Error as exc:
        if exc.code != 497:  # ACCESS_DENIED
            raise
    else:
        raise SystemExit(f"allowed: {forbidden}")
print(client("audit").command("SELECT count() FROM audit_writers"))
"""


def test_the_writer_can_migrate_and_append_but_change_nothing(compose: dict[str, Any], tmp_path: Path) -> None:
    """The rights that compose gives are enough for the receiver, and too few to alter or remove a row.

    In a process of its own: the engine keeps the rights that it was first opened with.
    """
    roles = compose["configs"]["roles"]["content"]
    grant = re.search(r"^(GRANT .*) TO audit_writer;$", roles, re.MULTILINE)
    assert grant is not None
    run = subprocess.run(
        [sys.executable, "-c", _RIGHTS_PROGRAM, str(tmp_path), grant[1], roles],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (run.returncode, run.stdout.strip()) == (0, "1"), run.stdout + run.stderr


def test_each_component_of_the_gateway_is_defined_and_used(gateway: dict[str, Any]) -> None:
    """Pipelines name what is there, and nothing that is there is left out of them."""
    service = gateway["service"]
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in service["pipelines"].values() for name in pipeline[kind]}
        assert used == gateway[kind].keys()
    assert set(service["extensions"]) == gateway["extensions"].keys()
    for exporter in gateway["exporters"].values():
        assert exporter["sending_queue"]["storage"] in service["extensions"]


def test_the_gateway_loses_nothing_by_its_settings(gateway: dict[str, Any]) -> None:
    """No sampling, no queue in memory, no end of retries, nothing dropped when the queue is full."""
    for name, pipeline in gateway["service"]["pipelines"].items():
        assert name in {"traces", "logs"}
        assert pipeline["processors"] == ["memory_limiter"]
    queue = gateway["exporters"]["otlp_grpc/audit"]["sending_queue"]
    assert queue["enabled"] is queue["block_on_overflow"] is True
    assert gateway["extensions"][queue["storage"]]["fsync"] is True
    retry = gateway["exporters"]["otlp_grpc/audit"]["retry_on_failure"]
    assert (retry["enabled"], retry["max_elapsed_time"]) == (True, "0s")


def test_the_gateway_keeps_within_the_receivers_limits(gateway: dict[str, Any]) -> None:
    """Requests are well under the largest that is taken, and wait longer than the receiver does."""
    protocols = gateway["receivers"]["otlp"]["protocols"]
    assert protocols["grpc"]["max_recv_msg_size_mib"] << 20 == MAX_REQUEST_BYTES
    assert protocols["http"]["max_request_body_size"] == MAX_REQUEST_BYTES
    exporter = gateway["exporters"]["otlp_grpc/audit"]
    queue = exporter["sending_queue"]
    assert queue["sizer"] == queue["batch"]["sizer"] == "bytes"
    assert queue["batch"]["min_size"] <= queue["batch"]["max_size"] <= MAX_REQUEST_BYTES // 2
    assert queue["batch"]["max_size"] < queue["queue_size"]
    assert int(exporter["timeout"].removesuffix("s")) > MAX_WAIT_SECONDS
    assert exporter["compression"] == "gzip"


def test_compose_gives_the_gateway_its_queue_and_its_configuration(
    compose: dict[str, Any], gateway: dict[str, Any]
) -> None:
    """The queue's folder is a volume that the collector's user owns, and the file it reads is the one mounted."""
    collector = compose["services"]["collector"]
    directory = gateway["extensions"]["file_storage/queue"]["directory"]
    assert f"queue:{directory}" in collector["volumes"]
    assert f"queue:{directory}" in compose["services"]["queue-folder"]["volumes"]
    assert compose["services"]["queue-folder"]["entrypoint"][-1] == directory
    (option,) = collector["command"]
    assert f"./collector-config/gateway.yaml:{option.removeprefix('--config=')}:ro" in collector["volumes"]
    assert "${env:AUDIT_RECEIVER:-" in gateway["exporters"]["otlp_grpc/audit"]["endpoint"]


def test_the_image_is_made_of_what_is_there() -> None:
    """Each file that the Dockerfile copies exists and is let through, and the image runs without root's rights."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert f"!{source}" in let_through
    assert text.index("\nUSER otel-audit\n") < text.index('ENTRYPOINT ["otel-audit"]')
    folders = re.findall(r"--mode \d+ (/\w+)", text)
    assert folders == ["/data", "/access", "/anchors"]


def test_a_settings_file_sets_options_by_their_names(tmp_path: Path) -> None:
    """What operate.md shows as otel-audit.toml is taken by each command that has the option."""
    from otel_audit.cli import settings_for

    example = re.search(r"```toml\n(.*?)```", (ROOT / "docs/how-to/operate.md").read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    path = tmp_path / "otel-audit.toml"
    path.write_text(example[1], encoding="utf-8")
    up = settings_for(command("up"), path)
    assert up == {
        "data": "/var/lib/otel-audit/data",
        "anchor_dir": "/mnt/append-only/anchors",
        "checkpoint_seconds": 2.0,
        "max_pending_mib": 512,
        "no_dashboard": True,
    }
    verify = settings_for(command("verify"), path)
    assert verify == {"data": "/var/lib/otel-audit/data", "anchor_dirs": ["/mnt/append-only/anchors"]}


def test_a_misspelt_setting_is_an_error(tmp_path: Path) -> None:
    """A key that a command's table has in vain, and a table of no command, are named."""
    from otel_audit.cli import settings_for

    path = tmp_path / "otel-audit.toml"
    for text, named in (("[up]\ngrpc-prot = 1\n", "grpc-prot"), ("[upp]\nhost = 'x'\n", "upp")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(click.ClickException, match=named):
            settings_for(command("up"), path)
