"""``otel-audit witness``: cosign the checkpoints of others, so that they can't show two histories."""

from __future__ import annotations

import logging
import signal
import threading
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from otel_audit.anchors.witness_service import Witness, witness_key
from otel_audit.errors import ConfigError, MalformedInput, StoreError, VerificationError
from otel_audit.ledger.note import BadSignature, UnknownKey, VerifierKey
from otel_audit.ledger.witnessing import SizeConflict, SplitView, UnknownOrigin
from otel_audit.receiver.logs import MaskingFormatter
from otel_audit.store.threaded_server import ThreadedServer

_LOG: Final = logging.getLogger(__name__)
_MAX_BODY: Final = 64 << 10  # 63 proof lines are 3 KiB; signed-note: 16 signatures, nearly 5 kB each at most
_SIZE_TYPE: Final = "text/x.tlog.size"  # tlog-witness


def witness_app(witness: Witness) -> Starlette:
    """``POST /add-checkpoint`` as C2SP tlog-witness has it, and two of our own beside it.

    ``GET /`` is the verifier key, ``GET /cosigned?origin=…`` the newest checkpoint that was cosigned for a ledger.
    """

    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY:
                return PlainTextResponse(f"more than {_MAX_BODY} bytes\n", status_code=413)
        return await to_thread.run_sync(_answer, witness, bytes(body))

    async def key(_: Request) -> Response:
        return PlainTextResponse(witness.key.format() + "\n")

    async def cosigned(request: Request) -> Response:
        return await to_thread.run_sync(_cosigned, witness, request.query_params.get("origin", ""))

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/cosigned", cosigned),
            Route("/", key),
        ]
    )


def _answer(witness: Witness, body: bytes) -> Response:
    try:
        return PlainTextResponse(witness.add_checkpoint(body))
    except MalformedInput as exc:
        return PlainTextResponse(f"{exc}\n", status_code=400)
    except UnknownOrigin as exc:
        return PlainTextResponse(f"{exc}\n", status_code=404)
    except (BadSignature, UnknownKey) as exc:
        return PlainTextResponse(f"{exc}\n", status_code=403)
    except SizeConflict as exc:
        if isinstance(exc, SplitView):
            _LOG.error("refused, and kept as evidence: %s", exc)
            # Without a size: a client that gets one would only build a new proof and come back.
            return PlainTextResponse(f"{exc}\n", status_code=409)
        return Response(f"{exc.size}\n", status_code=409, media_type=None, headers={"content-type": _SIZE_TYPE})
    except VerificationError as exc:
        _LOG.error("refused, and kept as evidence: %s", exc)
        return PlainTextResponse(f"{exc}\n", status_code=422)
    except StoreError as exc:
        return _without_memory(exc)


def _cosigned(witness: Witness, origin: str) -> Response:
    try:
        note = witness.cosigned(origin)
    except UnknownOrigin as exc:
        return PlainTextResponse(f"{exc}\n", status_code=404)
    except StoreError as exc:
        return _without_memory(exc)
    return PlainTextResponse(note or "nothing of it was cosigned yet\n", status_code=200 if note else 404)


def _without_memory(exc: StoreError) -> Response:
    _LOG.error("%s", exc)
    return PlainTextResponse("the witness can not use its memory; its operator knows why\n", status_code=503)


@click.command(epilog="\b\nExample: otel-audit witness --data witness-data --port 8090 --log log.pub")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("witness-data"),
    show_default=True,
    envvar="OTEL_AUDIT_WITNESS_DATA",
    help="Folder of the witness: its key, and what it cosigned.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="Port to serve on.")
@click.option("--name", help="Name of a new witness key, such as witness.example.com/w1.")
@click.option(
    "--log",
    "logs",
    multiple=True,
    help="Ledger to cosign for: its verifier key, ORIGIN=KEY, or a file with either a line, or a TOML file with "
    "[logs] of origin = key. Repeatable.",
)
@click.option("--show-key", is_flag=True, help="Print the witness's verifier key, and stop.")
def witness(*, data: Path, host: str, port: int, name: str | None, logs: tuple[str, ...], show_key: bool) -> None:
    """Cosign checkpoints of other ledgers, if they continue what was cosigned before. Ctrl-C stops it."""
    signer = witness_key(data, name)
    if show_key:
        click.echo(signer.verifier_key.format())
        return
    known = known_logs(logs)
    if not known:
        raise click.UsageError(
            "give each ledger to cosign for with --log: its verifier key is in DATA-anchors/trust.json"
        )
    handler = logging.StreamHandler()
    handler.setFormatter(MaskingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    serving = Witness(data, signer, known)
    try:
        with ThreadedServer(witness_app(serving), host, port) as server:
            click.echo(f"Witness     http://{host}:{server.port}")
            click.echo(f"Key         {signer.verifier_key.format()}")
            for origin in known:
                newest = serving.newest(origin)
                click.echo(f"Ledger      {origin}, cosigned up to size {newest.size if newest else 0}")
            stopping.wait()
    finally:
        serving.close()


def known_logs(texts: Iterable[str]) -> dict[str, list[VerifierKey]]:
    """The origins to cosign for with their keys. Raises ConfigError that says which text is wrong."""
    known: dict[str, list[VerifierKey]] = {}
    for origin, key in (pair for text in texts for pair in _log_pairs(text)):
        known.setdefault(origin or key.name, []).append(key)
    return known


def _log_pairs(text: str) -> list[tuple[str, VerifierKey]]:
    path = Path(text)
    if "+" not in text or path.is_file():
        try:
            content = path.read_text(encoding="utf-8")
            if path.suffix != ".toml":
                return [pair for line in content.split() for pair in [_log_pair(line)]]
            table = tomllib.loads(content)["logs"]
            return [(str(origin), VerifierKey.parse(str(key))) for origin, key in table.items()]
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, AttributeError) as exc:
            raise ConfigError(f"--log {text}: neither a verifier key nor a file of them ({exc})") from exc
    return [_log_pair(text)]


def _log_pair(text: str) -> tuple[str, VerifierKey]:
    """``ORIGIN=KEY``, or a key alone, whose name then is the origin. A key's text holds no ``=`` after its name."""
    origin, equals, key = text.rpartition("=")
    return (origin, VerifierKey.parse(key)) if equals else ("", VerifierKey.parse(text))
