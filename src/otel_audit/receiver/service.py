"""The receiver as a whole: opens the store, begins the ledger, serves OTLP and readers, and closes in order."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import platform
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from otel_audit.anchors.digests import own_digests
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.opened import open_anchor
from otel_audit.anchors.settings import load_anchors
from otel_audit.anchors.witness import WitnessAddress
from otel_audit.errors import AuditError, ConfigError, LedgerConflict, StoreUnavailable, VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, open_checkpoint, read_checkpoint
from otel_audit.ledger.note import VerifierKey
from otel_audit.model import AuditEvent, Checkpoint, EventType
from otel_audit.privacy.policy import choose_policy
from otel_audit.receiver.anchoring import Anchoring
from otel_audit.receiver.audit_signal.intake import AuditIntake
from otel_audit.receiver.audit_signal.producer_keys import ProducerKeys, read_producer_keys
from otel_audit.receiver.checkpoints import DEFAULT_INTERVAL_SECONDS, Anchor, Checkpointer
from otel_audit.receiver.control_server import control_app
from otel_audit.receiver.decode import Decoder
from otel_audit.receiver.digests import make_daily_digest
from otel_audit.receiver.erasure import Eraser
from otel_audit.receiver.grpc_server import GrpcServer
from otel_audit.receiver.http_server import http_app
from otel_audit.receiver.intake import Intake
from otel_audit.receiver.losses import Losses, internal_event
from otel_audit.receiver.masking import Masking, stored_forms
from otel_audit.receiver.operations import OpenLedger
from otel_audit.receiver.rechecking import DEFAULT_SECONDS, Rechecking
from otel_audit.receiver.references import References
from otel_audit.receiver.rotation import own_keys, resume_rotation, signers_at_start
from otel_audit.receiver.sealer import Sealer
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.receiver.witnessing import Witnessing
from otel_audit.store.database import Database, Role, open_embedded, open_server
from otel_audit.store.erasing import ErasingStore
from otel_audit.store.folder import DataFolder
from otel_audit.store.front import serve_front
from otel_audit.store.key_store import KeyStore
from otel_audit.store.migrate import migrate
from otel_audit.store.receipts import ReceiptReader
from otel_audit.store.retention import holds_on
from otel_audit.store.threaded_server import ThreadedServer
from otel_audit.store.writer import LedgerWriter

_LOG: Final = logging.getLogger(__name__)
_CHORES_SECONDS: Final = 5.0
_LOOPBACK: Final = "127.0.0.1"
_M_TRIM_THRESHOLD: Final = -1  # <malloc.h>
_M_MMAP_THRESHOLD: Final = -3


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """What ``serve`` and ``up`` may be told. Port 0 = any free port. ``url`` empty = embedded engine."""

    data: Path
    host: str = _LOOPBACK
    grpc_port: int = 4317
    http_port: int = 4318
    url: str = ""
    origin: str | None = None
    anchor_dir: Path | None = None
    anchors: Path | None = None  # a TOML file of [[anchors]]: docs/how-to/anchors.md
    checkpoint_seconds: float = DEFAULT_INTERVAL_SECONDS
    max_pending_mib: int = 256
    cors_origins: tuple[str, ...] = ()
    recheck_seconds: float = DEFAULT_SECONDS  # 0: never
    witnesses: tuple[str, ...] = ()  # URL=KEY each: docs/how-to/witness.md
    audit_producer_keys: Path | None = None
    audit_signatures_required: bool = False
    capture_policy: str = "redacted"  # a mode, or the path of a TOML file: docs/how-to/privacy.md


class Receiver:
    """One ledger's receiver. ``start`` serves; ``wait`` blocks until ``stop`` or until the writer had to stop."""

    def __init__(self, settings: ReceiverSettings) -> None:
        self.settings = settings
        self.folder = DataFolder(settings.data)
        self.policy = choose_policy(settings.capture_policy)
        required = settings.audit_signatures_required
        if required and settings.audit_producer_keys is None:
            raise ConfigError("--audit-signatures-required needs --audit-producer-keys FILE: no record could pass")
        self._producer_keys = (
            read_producer_keys(settings.audit_producer_keys, required=required)
            if settings.audit_producer_keys
            else ProducerKeys()
        )
        self.anchor_dir = settings.anchor_dir or self.folder.anchors
        self.witnesses = [WitnessAddress.parse(text) for text in settings.witnesses]
        self.external = load_anchors(settings.anchors) if settings.anchors else ()
        self.token = secrets.token_urlsafe(32)
        self.losses = Losses()
        self.conflict: LedgerConflict | None = None
        self._ended = threading.Event()
        self._closers = contextlib.ExitStack()
        self.grpc_port = self.http_port = self.front_port = self.control_port = 0

    def start(self, *, serve: bool = True) -> None:
        """Open everything, in the order that a reader of the ledger would want: store, ledger, servers.

        Without ``serve`` the ledger alone is opened: for one operation.
        """
        _tune_malloc()
        with contextlib.ExitStack() as undo:
            identity = self.folder.create(self.settings.origin)
            database = undo.enter_context(self._open())
            self.ledger = self._begin(database, LedgerWriter(database, identity.origin), undo)
            if serve:
                self._serve(self.ledger, undo)
            self._closers = undo.pop_all()

    def _serve(self, ledger: OpenLedger, undo: contextlib.ExitStack) -> None:
        sequencer = ledger.sequencer
        references = undo.enter_context(contextlib.closing(References(self.policy.fetch_references)))
        intake = Intake(Decoder(self.folder.identity_key()), sequencer, self.losses, references=references)
        audit = self._audit_intake(ledger)
        grpc_server = GrpcServer(intake, self.settings.host, self.settings.grpc_port, audit)
        http_server = ThreadedServer(
            http_app(intake, lambda: self.conflict is None, self.settings.cors_origins, audit),
            self.settings.host,
            self.settings.http_port,
        )
        undo.callback(http_server.close)
        front = undo.enter_context(contextlib.closing(serve_front(ledger.database, self.token)))
        control = ThreadedServer(control_app(ledger, self.token))
        undo.callback(control.close)
        control.start()
        http_server.start()
        grpc_server.start()
        undo.callback(grpc_server.stop)
        self.grpc_port, self.http_port, self.front_port = grpc_server.port, http_server.port, front.port
        self.control_port = control.port
        undo.callback(self._start_chores(sequencer, grpc_server))
        if self.settings.recheck_seconds:
            rechecking = Rechecking(
                self.folder,
                self.anchor_dir,
                url=self.settings.url,
                seconds=self.settings.recheck_seconds,
                tell=lambda event: sequencer.submit([event]).result(),
            )
            rechecking.start()
            undo.callback(rechecking.stop)

    def _audit_intake(self, ledger: OpenLedger) -> AuditIntake:
        return AuditIntake(
            ledger.sequencer,
            ReceiptReader(ledger.database, ledger.sequencer.origin),
            self.losses,
            self.folder.identity_key(),
            self._producer_keys,
            Masking(self.policy, self.folder.pseudonym_keys()),
        )

    def wait(self, seconds: float | None = None) -> bool:
        """True when the receiver has ended: ``stop`` was asked for, or the writer stopped (see ``conflict``)."""
        return self._ended.wait(seconds)

    def request_stop(self) -> None:
        """Let ``wait`` return. Safe in a signal handler."""
        self._ended.set()

    def stop(self) -> None:
        """Refuse new requests, commit what was accepted, write the last checkpoint, close the store."""
        self._ended.set()
        self._closers.close()

    @contextlib.contextmanager
    def _open(self) -> Iterator[Database]:
        if self.settings.url:
            with contextlib.closing(open_server(self.settings.url, Role.ADMIN)) as admin:
                migrate(admin)
            database = open_server(self.settings.url, Role.WRITER)
        else:
            database = open_embedded(self.folder, Role.WRITER)
        try:
            yield database
        finally:
            database.close()

    def _begin(self, database: Database, writer: LedgerWriter, undo: contextlib.ExitStack) -> OpenLedger:
        rotations = writer.rotations()
        signers = signers_at_start(self.folder, rotations)
        own = own_keys(self.folder)
        anchor = FileAnchor(self.anchor_dir)
        anchor.remember_key(signers[0].verifier_key, [each.note for each in rotations])
        anchoring = Anchoring([(each, open_anchor(each, anchor)) for each in self.external], self.folder)
        anchors: list[Anchor] = [anchor, anchoring]
        checkpointer = Checkpointer(
            writer,
            signers[0],
            anchors,
            earlier_keys=own,
            interval_seconds=self.settings.checkpoint_seconds,
            last_anchored=_newest_anchored(anchor, own, writer.origin),
        )
        checkpointer.sign_with(signers)
        keys = undo.enter_context(contextlib.closing(KeyStore(self.folder.data_keys)))
        sealer = Sealer(keys, writer.origin)
        sequencer = Sequencer(
            writer,
            checkpointer,
            max_pending_bytes=self.settings.max_pending_mib << 20,
            on_stop=self._on_conflict,
            mask=Masking(self.policy, self.folder.pseudonym_keys()),
            sealer=sealer,
        )
        at_rest = threading.Event()  # the sequencer has ended: the checkpointer is whose holds proving
        proving = threading.Lock()

        def prove(size1: int, size2: int) -> list[bytes]:
            if not at_rest.is_set():
                return sequencer.perform(lambda: checkpointer.prove_consistency(size1, size2)).result()
            with proving:
                return checkpointer.prove_consistency(size1, size2)

        witnessing = Witnessing(self.anchor_dir, self.witnesses, prove)
        anchors.append(witnessing)
        undo.callback(witnessing.close)  # after the sequencer, whose last checkpoint is to be cosigned, too
        undo.callback(at_rest.set)
        self._writer_id = uuid.uuid4().hex
        self._epoch = writer.claim(self._writer_id, time.time_ns())
        self._writer = writer
        for digest, note in own_digests(anchor, writer.origin):
            anchoring.publish_digest(note, digest)  # those that an anchor has not got yet
        anchoring.start()
        undo.callback(anchoring.stop)  # after the sequencer's last checkpoint
        sequencer.start()
        undo.callback(sequencer.close)
        sequencer.submit([self._life_event(EventType.LEDGER_OPENED)]).result()
        undo.callback(self._close_ledger, sequencer)
        eraser = Eraser(
            keys,
            sealer,
            ErasingStore(database, writer.origin),
            sequencer,
            lambda: checkpointer.signers,
            holds=partial(holds_on, database, writer.origin),
            stored_forms=stored_forms(self.policy, self.folder.pseudonym_keys()),
        )
        eraser.complete()
        eraser.make_texts(writer)
        ledger = OpenLedger(self.folder, self.anchor_dir, database, writer, checkpointer, sequencer, eraser, anchoring)
        if len(signers) > 1:
            resume_rotation(ledger)
        return ledger

    def _close_ledger(self, sequencer: Sequencer) -> None:
        """The last entries of this run: losses not recorded yet, and that the ledger was closed in order."""
        events = [*self.losses.take_events(everything=True), self._life_event(EventType.LEDGER_CLOSED)]
        try:
            sequencer.submit(events).result()
        except StoreUnavailable as exc:
            _LOG.warning("the ledger could not be closed in order: %s", exc)

    def _life_event(self, event_type: EventType) -> AuditEvent:
        return internal_event(
            event_type,
            time.time_ns(),
            name=f"otel-audit {version('otel-audit')}",
            attributes=[("process.runtime.version", platform.python_version())],
        )

    def _start_chores(self, sequencer: Sequencer, grpc_server: GrpcServer) -> Callable[[], None]:
        """Every few seconds: record losses, see to the claim of the ledger, tell health; once a day, make a digest."""
        stopping = threading.Event()

        def chores() -> None:
            while not stopping.wait(_CHORES_SECONDS):
                grpc_server.set_serving(serving=self.conflict is None)
                events = self.losses.take_events()
                try:
                    self._writer.check_claim(self._epoch, self._writer_id)
                    if events:
                        sequencer.submit(events).result()
                except LedgerConflict as exc:
                    self._on_conflict(exc)
                except AuditError as exc:
                    _LOG.warning("losses could not be recorded, trying again: %s", exc)
                    self.losses.put_back(events)
                try:
                    make_daily_digest(self.ledger, time.time_ns())
                except (AuditError, OSError) as exc:
                    _LOG.warning("the digest over all ledgers could not be made, trying again: %s", exc)

        thread = threading.Thread(target=chores, name="chores", daemon=True)
        thread.start()

        def stop() -> None:
            stopping.set()
            thread.join()

        return stop

    def _on_conflict(self, conflict: LedgerConflict) -> None:
        self.conflict = conflict
        self._ended.set()


def _newest_anchored(anchor: FileAnchor, keys: Sequence[VerifierKey], origin: str) -> Checkpoint | None:
    """The largest checkpoint in the anchor that a key of ours signed; others are for ``verify`` to judge."""
    # The largest first: a ledger that runs for months has a million of them, and each signature costs a tenth of a ms.
    for anchored in sorted(anchor.read(origin).checkpoints, key=_claimed_size, reverse=True):
        with contextlib.suppress(VerificationError):
            return open_checkpoint(anchored.note, keys, origin)
    return None


def _claimed_size(anchored: AnchoredCheckpoint) -> int:
    return read_checkpoint(anchored.note).size


def _tune_malloc() -> None:
    """Keep large request buffers from being mapped and unmapped for each request (doubles large-batch gRPC)."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 512 << 20)
