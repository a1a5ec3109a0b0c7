"""``python -m otel_audit.doctor``: 0 = fine, 1 = found a problem, 2 = could not do it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from otel_audit.doctor import report
from otel_audit.doctor.clients import CLIENTS
from otel_audit.doctor.examination import Wanted, about, examine
from otel_audit.doctor.findings import has_problem
from otel_audit.errors import AuditError


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine, report, and give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m otel_audit.doctor",
        description="Check what of this environment's AI calls would reach the audit trail, and how to mend what would "
        "not. Run it with the application's own Python and environment variables.",
        epilog="Example: python -m otel_audit.doctor --client openai",
    )
    parser.add_argument("--client", action="append", default=[], choices=[each.name for each in CLIENTS],
                        help="look at this AI client only; may be repeated")  # fmt: skip
    parser.add_argument("--endpoint", help="the receiver, where the application gives it to configure()")
    parser.add_argument("--no-call", action="store_true", help="make no test calls")
    parser.add_argument("--no-send", action="store_true", help="send no test record to the receiver")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    given = parser.parse_args(arguments)
    wanted = Wanted(given.endpoint, given.client, call=not given.no_call, send=not given.no_send)
    try:
        findings = list(examine(wanted))
    except (AuditError, OSError) as exc:
        sys.stderr.write(f"otel-audit doctor: {exc}\n")
        return 2
    if given.json:
        sys.stdout.write(json.dumps(report.as_json(findings), indent=2) + "\n")
    else:
        report.write(findings, sys.stdout, about())
    return int(has_problem(findings))


if __name__ == "__main__":
    sys.exit(main())
