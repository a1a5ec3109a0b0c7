"""docs/design/ledger-format.md: its column list is the schema, and its minimal verifier really verifies."""

import re
from pathlib import Path

import pytest

from otel_audit.ledger.encoding import encode_entry, encode_event, genesis_hash, leaf_hash, origin_prefix
from otel_audit.ledger.merkle import tree_root
from otel_audit.ledger.schema import COLUMNS
from otel_audit.model import AuditEvent

PAGE = (Path(__file__).parents[2] / "docs" / "design" / "ledger-format.md").read_text(encoding="utf-8")


def test_the_columns_are_the_schema():
    """The page lists exactly the columns of schema version 1, in order, with type and meaning."""
    listed = re.findall(r"^\| (\d+) \| `(\w+)` \| `(.+?)` \| (.+) \|$", PAGE, re.MULTILINE)
    assert listed == [(str(at), each.name, str(each.type), each.meaning) for at, each in enumerate(COLUMNS, 1)]


def rows(size, origin="example.com/ledger"):
    previous, made = genesis_hash(origin), []
    for seq in range(size):
        event = encode_event(AuditEvent({"event_type": "review", "task_id": f"task-{seq}"}), {})
        encoding = encode_entry(origin_prefix(origin), seq, previous, seq, event)
        made.append((seq, previous, leaf_hash(encoding), encoding))
        previous = leaf_hash(encoding)
    return made


def test_the_verifier_on_the_page():
    """The code on the page accepts a ledger as we write it, and refuses an altered, a shorter and a rebuilt one."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    namespace = {}
    exec(code, namespace)
    verify, origin, good = namespace["verify"], "example.com/ledger", rows(300)
    checkpoints = [(size, tree_root([row[2] for row in good[:size]])) for size in (1, 7, 256, 300)]
    verify(origin, good, checkpoints)

    altered = list(good)
    altered[42] = (*altered[42][:3], altered[42][3].replace(b"task-42", b"task-43"))
    for bad in (altered, good[:299], good[:10] + good[11:], rows(299), [*good[:299], good[0]]):
        with pytest.raises(AssertionError):
            verify(origin, bad, checkpoints)
