"""``python -m otel_audit``: the same as the ``otel-audit`` script."""

from otel_audit.cli import main

main()
