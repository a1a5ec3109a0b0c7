"""The proposed OpenTelemetry Audit Logging signal (OTEP 0267): ``POST /v1/audit`` and its receipts."""
