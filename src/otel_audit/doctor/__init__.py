"""Looks at an application's environment, makes test calls in it, and says what the trail would lack and how to mend it.

``python -m otel_audit.doctor`` needs the base install only, so that it runs where the application runs;
``otel-audit doctor`` does the same, and reads a trail besides. docs/how-to/doctor.md has every finding by name.
"""
