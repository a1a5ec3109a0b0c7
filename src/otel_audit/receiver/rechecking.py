"""The receiver has its own ledger verified again and again, by ``otel-audit verify`` in a process of its own.

This finds accidents and clumsy hands early. It is no evidence: whoever owns this machine owns this check, too.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from otel_audit.errors import AuditError, ConfigError
from otel_audit.model import AuditEvent, EventType
from otel_audit.receiver.children import WITH_PARENT
from otel_audit.receiver.losses import internal_event
from otel_audit.semconv import AUDIT_ACTION, AUDIT_OUTCOME, AUDIT_ROW_COUNT
from otel_audit.store.folder import DataFolder
from otel_audit.store.recheck_state import RecheckState

_LOG: Final = logging.getLogger(__name__)
DEFAULT_SECONDS: Final = 900.0
_DAY_NANOS: Final = 86_400 * 1_000_000_000
_LONGEST_SECONDS: Final = 6 * 3600.0
_NICENESS: Final = 10
_CHECKED: Final = (0, 1)  # exit codes of verify: nothing found, something found


class Rechecking:
    """Checks every ``seconds`` what is new, once a day everything, and everything for as long as something is wrong.

    ``tell`` enters an event into the ledger: of a verdict that changed, and of one a day. One check runs at a time.
    """

    def __init__(
        self,
        folder: DataFolder,
        anchor_dir: Path,
        *,
        url: str,
        seconds: float,
        tell: Callable[[AuditEvent], object],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._folder = folder
        self._anchor_dir = anchor_dir
        self._url = url
        self._seconds = seconds
        self._tell = tell
        self._clock = clock
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # a child is not started while it is asked to end
        self._child: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="recheck", daemon=True)
        try:
            self.state = RecheckState.read(folder)
        except ConfigError as exc:
            _LOG.warning("%s", exc)
            self.state = RecheckState()

    def start(self) -> None:
        """Begin to check."""
        self._thread.start()
        meter = metrics.get_meter("otel_audit.receiver")
        for name, unit, value in (
            ("last_ok_time", "s", lambda state: state.ok_unix_nano / 1e9),
            ("findings", "{finding}", lambda state: state.finding_count),
            ("entries", "{entry}", lambda state: state.entry_count),
        ):
            meter.create_observable_gauge(f"otel_audit.verify.{name}", [self._observer(value)], unit=unit)

    def stop(self) -> None:
        """End, also in the middle of a check."""
        with self._lock:
            self._stopping.set()
            if self._child is not None:
                self._child.terminate()
        self._thread.join()

    def _observer(self, value: Callable[[RecheckState], float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: [Observation(value(self.state))]

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            is_full = self.state.status != "ok" or self._clock() - self.state.full_unix_nano >= _DAY_NANOS
            try:
                report = self._check(is_full=is_full)
                if not self._stopping.is_set():
                    self._take(report, is_full=is_full)
            except (AuditError, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as exc:
                if self._stopping.is_set():
                    return
                _LOG.warning("the ledger could not be checked, trying again: %s", exc)
                self._write(replace(self.state, problem=str(exc)))

    def _check(self, *, is_full: bool) -> Mapping[str, Any]:
        """The report of a ``verify`` that ran to its end. Raises ConfigError when it could not check."""
        command = [sys.executable, "-m", "otel_audit", "verify", "--json", "--jobs", "1"]
        command += ["--state", str(self._folder.recheck_memory)]
        command += ["--data", str(self._folder.path), "--anchor-dir", str(self._anchor_dir)]
        command += [] if is_full else ["--incremental"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_AUDIT_")}
        if self._url:
            environment["OTEL_AUDIT_URL"] = self._url  # not in the arguments, that everybody on the machine can read
        with self._lock:
            if self._stopping.is_set():
                raise ConfigError("the receiver ends")
            self._child = child = subprocess.Popen(
                [sys.executable, "-I", str(WITH_PARENT), str(os.getpid()), *command],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
            )  # fmt: skip
        with suppress(OSError):  # it is over already
            os.setpriority(os.PRIO_PROCESS, child.pid, _NICENESS)
        try:
            out, problem = child.communicate(timeout=_LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise
        if child.returncode not in _CHECKED:
            raise ConfigError(f"verify ended with code {child.returncode}: {problem.strip()[-500:]}")
        report: Mapping[str, Any] = json.loads(out)
        return report

    def _take(self, report: Mapping[str, Any], *, is_full: bool) -> None:
        before, now = self.state, self._clock()
        status, codes = str(report["status"]), tuple(sorted({str(each["code"]) for each in report["findings"]}))
        is_ok = status == "ok"
        state = RecheckState(
            status=status,
            codes=codes,
            finding_count=len(report["findings"]),
            entry_count=sum(int(each["size"]) for each in report["ledgers"]),
            checked_unix_nano=now,
            ok_unix_nano=now if is_ok else before.ok_unix_nano,
            full_unix_nano=now if is_ok and is_full else before.full_unix_nano,
            told_unix_nano=before.told_unix_nano,
        )
        is_new = status != before.status or (not is_ok and codes != before.codes)
        if is_new and not is_ok:
            _LOG.critical("the ledger does not verify: %s (%s). Run: otel-audit verify", status, ", ".join(codes))
        self._write(state)
        if is_new or now - before.told_unix_nano >= _DAY_NANOS:
            self._tell(_event(state))
            self._write(replace(state, told_unix_nano=now))

    def _write(self, state: RecheckState) -> None:
        self.state = state
        try:
            state.write(self._folder)
        except AuditError as exc:
            _LOG.warning("what the check of the ledger found could not be written down: %s", exc)


def _event(state: RecheckState) -> AuditEvent:
    is_ok = state.status == "ok"
    event = internal_event(
        EventType.ACCESS,
        state.checked_unix_nano,
        name="verify",
        attributes=[(AUDIT_ACTION, "VERIFY"), (AUDIT_OUTCOME, "success" if is_ok else "failure")],
        attributes_json=[(AUDIT_ROW_COUNT, str(state.entry_count))],
    )
    if not is_ok:
        event.columns["error_type"] = ",".join(state.codes)
    return event
