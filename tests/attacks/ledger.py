"""A real ledger in the embedded engine to attack: 700 entries, two full tiles and a tail.

Its own checkpoints reach to the end, the anchor to 600. What an attack did to it is undone after each test.
"""

import hashlib
import re
from dataclasses import dataclass, field

from otel_audit.ledger.checkpoint import sign_checkpoint
from otel_audit.ledger.encoding import encode_entry, encode_event, genesis_hash, leaf_hash, origin_prefix
from otel_audit.ledger.merkle import tree_root
from otel_audit.ledger.note import Signer
from otel_audit.ledger.schema import EVENT_COLUMNS, ColumnType
from otel_audit.ledger.tiles import TileBuilder
from otel_audit.model import AuditEvent, Checkpoint
from otel_audit.privacy.commitments import commit

ORIGIN = "audit.example.com/receiver-0"
SIGNER = Signer(ORIGIN, b"s" * 32)
KEYS = [SIGNER.verifier_key]
SIZE = 700
CHECKPOINTS = (100, 256, 300, 512, 600, 700)
ANCHORED = (100, 300, 600)
START = 1_770_000_000_000_000_000  # the first entry's recorded_at; one follows each second
TABLES = ("audit_entries", "audit_content", "audit_tiles", "audit_checkpoints")

_T = ColumnType
_VALUES = {
    _T.STRING: lambda name, seq: f"{name}-{seq}",
    _T.NAME: lambda name, seq: f"{name}-{'abc'[seq % 3]}",
    _T.UINT16: lambda name, seq: seq % 3,
    _T.BOOL: lambda name, seq: seq % 2 == 0,
    _T.TIME: lambda name, seq: START + seq * 1_000_000_000,
    _T.OPTIONAL_FLOAT: lambda name, seq: seq / 8,
    _T.OPTIONAL_COUNT: lambda name, seq: seq * 10,
    _T.STRINGS: lambda name, seq: [f"{name}-{seq % 3}"],
    _T.STRING_MAP: lambda name, seq: {f"{name}.key": str(seq)},
}


def event(seq):
    """An event that has a value in every column."""
    columns = {
        column.name: _VALUES[column.type](column.name, seq) for column in EVENT_COLUMNS if column.name != "content"
    }
    columns["retention_class"] = "standard"
    texts = {"input": f"question {seq}", "output": f"answer {seq}"} if seq % 5 == 0 else {}
    return AuditEvent(columns, texts)


@dataclass
class Built:
    """A ledger as its writer would have made it: everything that goes into the tables, and the leaf hashes."""

    origin: str = ORIGIN
    leaves: list = field(default_factory=list)
    encodings: list = field(default_factory=list)
    contents: list = field(default_factory=list)

    def extend(self, events, recorded_at=lambda seq: START + seq * 1_000_000_000):
        prefix = origin_prefix(self.origin)
        for each in events:
            seq = len(self.leaves)
            opening = hashlib.sha256(b"opening %d" % seq).digest()
            commitments = {name: commit(name, value, opening) for name, value in each.content.items()}
            self.contents += [(seq, name, commitments[name], opening, each.content[name]) for name in commitments]
            previous = self.leaves[-1] if self.leaves else genesis_hash(self.origin)
            recorded = recorded_at(seq)
            encoding = encode_entry(prefix, seq, previous, recorded, encode_event(each, commitments))
            self.encodings.append(encoding)
            self.leaves.append(leaf_hash(encoding))
        return self

    def note(self, size, signer=SIGNER, origin=None):
        return sign_checkpoint(Checkpoint(origin or self.origin, size, tree_root(self.leaves[:size])), [signer])

    def tiles(self):
        builder = TileBuilder()
        builder.extend(self.leaves)
        return builder.take_full_tiles()

    def rewritten_from(self, first, change):
        """The same ledger with the event at ``first`` changed, and everything from there on chained anew."""
        events = [event(seq) for seq in range(len(self.leaves))]
        change(events[first].columns)
        return Built(self.origin).extend(events)


class Store:
    """The database under attack, with the rights of whoever owns the files."""

    def __init__(self, database):
        self.database = database
        self.touched = set()

    def run(self, statement, **parameters):
        self.touched |= set(re.findall(r"audit_\w+", statement))
        with self.database.client() as client:
            client.command(statement, parameters=parameters, settings={"mutations_sync": 1})

    def query(self, statement):
        with self.database.client() as client:
            return client.query(statement).result_rows

    def insert_entries(self, built, start=0, end=SIZE):
        self.touched.add("audit_entries")
        rows = zip(built.encodings[start:end], built.leaves[start:end], strict=True)
        with self.database.client() as client:
            client.raw_insert("audit_entries", insert_block=b"".join(a + b for a, b in rows), fmt="RowBinary")

    def insert_tiles(self, built):
        self.touched.add("audit_tiles")
        rows = [[built.origin, tile.level, tile.index, tile.hashes] for tile in built.tiles()]
        with self.database.client() as client:
            client.insert("audit_tiles", rows, ["origin", "level", "tile_index", "hashes"])

    def insert_checkpoints(self, built, sizes=CHECKPOINTS, signer=SIGNER):
        rows = [[built.origin, size, tree_root(built.leaves[:size]), START, built.note(size, signer)] for size in sizes]
        self.insert_checkpoint_rows(rows)

    def insert_checkpoint_rows(self, rows):
        self.touched.add("audit_checkpoints")
        with self.database.client() as client:
            names = ["origin", "size", "root_hash", "created_at", "note"]
            types = ["String", "UInt64", "FixedString(32)", "DateTime64(9, 'UTC')", "String"]
            client.insert("audit_checkpoints", rows, names, column_type_names=types)

    def insert_contents(self, built):
        self.touched.add("audit_content")
        names = ["origin", "seq", "name", "commitment", "opening", "value"]
        with self.database.client() as client:
            client.insert("audit_content", [[built.origin, *row] for row in built.contents], names)

    def truncate(self, *tables):
        for table in tables:
            self.run(f"TRUNCATE TABLE {table}")

    def insert_all(self, built):
        self.insert_entries(built)
        self.insert_tiles(built)
        self.insert_checkpoints(built)
        self.insert_contents(built)

    def copy_row(self, source, /, **replaced):
        """INSERT ... SELECT of one row with some columns replaced by SQL expressions."""
        chosen = ", ".join(f"({value}) AS {name}" for name, value in replaced.items())
        one = f"(SELECT * FROM audit_entries WHERE seq = {source} LIMIT 1)"
        self.run(f"INSERT INTO audit_entries SELECT * REPLACE({chosen}) FROM {one}")
