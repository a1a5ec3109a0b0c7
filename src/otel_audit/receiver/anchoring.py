"""Carries checkpoints to external anchors, each on a thread of its own: the sequencer never waits for one.

An anchor gets the newest checkpoint, at most every ``every_seconds``, and what failed is tried again for as long as it
takes. One that proves later (OpenTimestamps) is asked again and again until it has. How far each anchor is lies in
``DATA/otel-audit/anchors/<name>.json``, so that a restart goes on and the dashboard can tell; a meter reports the same
as ``otel_audit.anchor.*``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from otel_audit.anchors import ExternalAnchor, Publication, UpgradedAnchor
from otel_audit.anchors.settings import AnchorSettings
from otel_audit.errors import AnchorConflict, AuditError
from otel_audit.ledger.digest import Digest
from otel_audit.model import Checkpoint
from otel_audit.store.anchor_states import AnchorState
from otel_audit.store.folder import DataFolder

_LOG: Final = logging.getLogger(__name__)
_FIRST_RETRY_SECONDS: Final = 5.0
_LONGEST_RETRY_SECONDS: Final = 300.0
_LAST_ATTEMPT_SECONDS: Final = 10.0
_FIRST_UPGRADE_SECONDS: Final = 600.0  # a block comes every ten minutes, a calendar's transaction every few hours
_LONGEST_UPGRADE_SECONDS: Final = 14_400.0


class Carrier:
    """Carries to one anchor. ``offer`` and ``carry_now`` may be called from any thread.

    ``_turn`` guards what is offered and the state, and is never held while the anchor is asked; ``_asking`` is held
    exactly then, so that two threads never publish at once.
    """

    def __init__(
        self, settings: AnchorSettings, anchor: ExternalAnchor, folder: DataFolder, clock: Callable[[], int]
    ) -> None:
        self.settings = settings
        self._anchor = anchor
        self._folder = folder
        self._clock = clock
        self._turn = threading.Condition()
        self._asking = threading.Lock()
        self._offered: Publication | None = None
        self._digests: list[Publication] = []  # every one is to be carried, in order of number
        self._stopping = False
        self._failures = 0
        self._upgrade_due = 0  # nanoseconds since 1970; at the start at once
        self._upgrade_seconds = _FIRST_UPGRADE_SECONDS
        fresh = AnchorState(settings.name, settings.kind, settings.place)
        last = AnchorState.read(folder, settings.name)
        # Under the same name another bucket has nothing yet.
        self._state = last if last is not None and last.place == settings.place else fresh
        self._thread = threading.Thread(target=self._run, name=f"anchor {settings.name}", daemon=True)

    @property
    def state(self) -> AnchorState:
        """How far the anchor is."""
        with self._turn:
            return self._state

    def start(self) -> None:
        """Begin to carry."""
        self._thread.start()

    def offer(self, publication: Publication) -> None:
        """Take a newer note to carry. Returns at once."""
        with self._turn:
            if publication.size <= self._state.published_size:
                return
            self._offered = publication
            since = self._state.behind_since_unix_nano or self._clock()
            self._state = replace(self._state, newest_size=publication.size, behind_since_unix_nano=since)
            self._turn.notify_all()

    def offer_digest(self, publication: Publication) -> None:
        """Take a digest to carry, if the anchor does not have it. Returns at once."""
        with self._turn:
            if publication.size > max([self._state.published_digest, *(each.size for each in self._digests)]):
                self._digests.append(publication)
                self._turn.notify_all()

    def carry_now(self) -> AnchorState:
        """Publish and complete what can be, without waiting for the rhythm, and return how far the anchor then is."""
        self._carry()
        with self._asking:
            self._upgrade()
        return self.state

    def stop(self, seconds: float) -> None:
        """Try a last time to carry what is offered, and give up after ``seconds``; the next start goes on."""
        with self._turn:
            self._stopping = True
            self._turn.notify_all()
        self._thread.join(seconds)
        if self._thread.is_alive():
            _LOG.warning("anchor %s does not answer; the next start goes on with it", self.settings.name)

    def _carry(self) -> None:
        with self._asking:
            with self._turn:
                publications = [*([self._offered] if self._offered else []), *self._digests]
            for publication in publications:
                if not self._publish(publication):
                    break

    def _run(self) -> None:
        while True:
            with self._turn:
                while not self._stopping:
                    publishing, upgrading = self._seconds_until_due(), self._seconds_until_upgrade()
                    wait = min((each for each in (publishing, upgrading) if each is not None), default=None)
                    if wait is not None and wait <= 0:
                        break
                    self._turn.wait(wait)
                stopping = self._stopping
            if stopping or wait == publishing:
                self._carry()
            else:
                with self._asking:
                    self._upgrade()
            if stopping:
                return

    def _seconds_until_due(self) -> float | None:
        if self._offered is None and not self._digests:
            return None
        state, now = self._state, self._clock()
        due = state.last_success_unix_nano + round(self.settings.every_seconds * 1e9)
        if self._failures:
            retry = min(_LONGEST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2 ** min(self._failures - 1, 10))
            due = max(due, state.last_error_unix_nano + round(retry * 1e9))
        # A clock that was set back must not silence the anchor.
        return min((due - now) / 1e9, max(self.settings.every_seconds, _LONGEST_RETRY_SECONDS))

    def _seconds_until_upgrade(self) -> float | None:
        if not isinstance(self._anchor, UpgradedAnchor) or (self._upgrade_due and not self._state.pending):
            return None
        return min((self._upgrade_due - self._clock()) / 1e9, _LONGEST_UPGRADE_SECONDS)

    def _ask(self, question: Callable[[], object]) -> str:
        """Have the anchor do something; return what went wrong, empty when nothing did."""
        try:
            question()
        except AnchorConflict as exc:
            _LOG.error("%s", exc)
            return str(exc)
        except AuditError as exc:
            _LOG.warning("%s; trying again", exc)
            return str(exc)
        except Exception as exc:  # noqa: BLE001 - a defect of a library must not end the thread
            _LOG.exception("anchor %s failed; trying again", self.settings.name)
            return f"anchor {self.settings.name}: {type(exc).__name__}"
        return ""

    def _upgrade(self) -> None:
        """Have promised proofs completed; less and less often while none comes."""
        anchor = self._anchor
        if not isinstance(anchor, UpgradedAnchor):
            return
        open_promises: list[int] = []
        problem = self._ask(lambda: open_promises.append(anchor.upgrade()))
        with self._turn:
            now, pending = self._clock(), open_promises[0] if open_promises else max(1, self._state.pending)
            if pending < self._state.pending:
                self._upgrade_seconds = _FIRST_UPGRADE_SECONDS
            self._upgrade_due = now + round(self._upgrade_seconds * 1e9)
            self._upgrade_seconds = min(_LONGEST_UPGRADE_SECONDS, 2 * self._upgrade_seconds)
            # While publishing fails, that is the problem to tell.
            told = (self._state.last_error, self._state.last_error_unix_nano)
            if not self._failures:
                told = (problem, now if problem else 0)
            self._state = replace(self._state, pending=pending, last_error=told[0], last_error_unix_nano=told[1])
        self._write_state()

    def _publish(self, publication: Publication) -> bool:
        problem = self._ask(lambda: self._anchor.publish(publication))
        with self._turn:
            now = self._clock()
            if problem:
                self._failures += 1
                self._state = replace(self._state, last_error=problem, last_error_unix_nano=now)
            elif publication.is_digest:
                self._failures = 0
                self._digests.remove(publication)
                self._state = replace(
                    self._state,
                    published_digest=publication.size,
                    last_success_unix_nano=now,
                    last_error="",
                    last_error_unix_nano=0,
                )
            else:
                self._failures = 0
                caught_up = self._offered is publication
                if caught_up:
                    self._offered = None
                self._state = replace(
                    self._state,
                    published_size=publication.size,
                    last_success_unix_nano=now,
                    behind_since_unix_nano=0 if caught_up else now,
                    last_error="",
                    last_error_unix_nano=0,
                )
            if not problem and isinstance(self._anchor, UpgradedAnchor):
                self._state = replace(self._state, pending=self._state.pending + 1)
                self._upgrade_seconds = _FIRST_UPGRADE_SECONDS
                self._upgrade_due = now + round(self._upgrade_seconds * 1e9)
        self._write_state()
        return not problem

    def _write_state(self) -> None:
        try:
            self.state.write(self._folder)
        except AuditError as exc:
            _LOG.warning("what anchor %s has could not be written down: %s", self.settings.name, exc)


class Anchoring:
    """All external anchors of a ledger. The ``Checkpointer`` gives it checkpoints, and never waits."""

    def __init__(
        self,
        anchors: Sequence[tuple[AnchorSettings, ExternalAnchor]],
        folder: DataFolder,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._clock = clock
        self.carriers = [Carrier(settings, anchor, folder, clock) for settings, anchor in anchors]

    def start(self) -> None:
        """Begin to carry, and to report lag."""
        for carrier in self.carriers:
            carrier.start()
        meter = metrics.get_meter("otel_audit.receiver")
        meter.create_observable_gauge(
            "otel_audit.anchor.lag", [self._lag_seconds], unit="s", description="Age of the oldest entry not anchored"
        )
        meter.create_observable_gauge(
            "otel_audit.anchor.lag.entries", [self._lag_entries], unit="{entry}", description="Entries not anchored"
        )

    def publish(self, note: str, checkpoint: Checkpoint) -> None:
        """Offer a checkpoint to every anchor."""
        for carrier in self.carriers:
            carrier.offer(Publication(note, checkpoint.origin, checkpoint.size))

    def publish_digest(self, note: str, digest: Digest) -> None:
        """Offer a digest over all ledgers to every anchor."""
        for carrier in self.carriers:
            carrier.offer_digest(Publication(note, digest.origin, digest.number, is_digest=True))

    def carry_now(self, kind: str = "") -> list[dict[str, Any]]:
        """Publish to every anchor (of ``kind``) now; one that fails does not keep the others from it."""
        chosen = [carrier for carrier in self.carriers if kind in {"", carrier.settings.kind}]
        threads = [threading.Thread(target=carrier.carry_now, daemon=True) for carrier in chosen]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [asdict(carrier.state) for carrier in chosen]

    def stop(self) -> None:
        """Give every anchor a last attempt, all within a bounded time."""
        end = time.monotonic() + _LAST_ATTEMPT_SECONDS
        for carrier in self.carriers:
            carrier.stop(max(0.0, end - time.monotonic()))

    def _lag_seconds(self, _: CallbackOptions) -> Iterable[Observation]:
        now = self._clock()
        for state in (carrier.state for carrier in self.carriers):
            yield Observation(state.lag_seconds(now), {"anchor": state.name, "kind": state.kind})

    def _lag_entries(self, _: CallbackOptions) -> Iterable[Observation]:
        for state in (carrier.state for carrier in self.carriers):
            yield Observation(state.lag_entries, {"anchor": state.name, "kind": state.kind})
