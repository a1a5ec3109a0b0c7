"""The ledger under attack, made once; each test gets it whole."""

import pytest

from otel_audit.anchors.file import FileAnchor
from otel_audit.ledger.merkle import tree_root
from otel_audit.model import Checkpoint
from tests.attacks.ledger import ANCHORED, ORIGIN, SIZE, TABLES, Built, Store, event


@pytest.fixture(scope="module")
def built():
    return Built().extend(event(seq) for seq in range(SIZE))


@pytest.fixture(scope="module")
def engine(shared_engine, built):
    store = Store(shared_engine.opened())
    store.truncate(*TABLES)
    store.insert_all(built)
    return store


@pytest.fixture
def store(engine, built):
    """A whole and healthy ledger; what a test did to it is undone afterwards."""
    engine.touched.clear()
    yield engine
    restore = {
        "audit_entries": engine.insert_entries,
        "audit_content": engine.insert_contents,
        "audit_tiles": engine.insert_tiles,
        "audit_checkpoints": engine.insert_checkpoints,
    }
    for table in engine.touched & restore.keys():
        engine.run(f"TRUNCATE TABLE {table}")
        restore[table](built)


@pytest.fixture(scope="module")
def anchors(built, tmp_path_factory):
    """Checkpoints of sizes 100, 300 and 600 in a folder elsewhere."""
    anchor = FileAnchor(tmp_path_factory.mktemp("anchors"))
    for size in ANCHORED:
        anchor.publish(built.note(size), Checkpoint(ORIGIN, size, tree_root(built.leaves[:size])))
    return anchor.read_all()
