"""The receiver's log tells what failed and where, and repeats nothing of what was sent."""

from __future__ import annotations

import logging

from otel_audit.receiver.logs import MaskingFormatter


def _logged(message: str, *args: object, exception: BaseException | None = None) -> str:
    info = (type(exception), exception, exception.__traceback__) if exception else None
    record = logging.LogRecord("otel_audit.test", logging.WARNING, __file__, 1, message, args, info)
    return MaskingFormatter("%(levelname)s %(message)s").format(record)


def test_an_exceptions_text_is_not_logged():
    """Of an exception and its causes only the types and the places are told."""
    try:
        try:
            raise KeyError("patient Quandt")
        except KeyError as exc:
            raise ValueError("no such Quandt") from exc
    except ValueError as exc:
        text = _logged("convention %s failed", "x", exception=exc)
    assert "Quandt" not in text
    assert "ValueError from KeyError" in text
    assert "test_receiver_logs.py" in text


def test_values_in_messages_are_masked():
    """What a message was given is masked as any text; what an operator needs stays."""
    text = _logged("a record of %s came over port %d", "scope of jane.roe@example.com", 4317)
    assert "jane" not in text
    assert "WARNING a record of scope of [email:" in text
    assert "port 4317" in text
