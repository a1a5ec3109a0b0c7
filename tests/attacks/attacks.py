"""Every class of attack once: what is done to the ledger, and what ``verify`` must call it.

The ledger is that of ``tests/attacks/ledger.py``: 700 entries, checkpoints to the end, an anchor up to 600. An attack
gets a ``Scene``, does what somebody with those rights would do, and may give the verifier other anchors or trust.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from otel_audit.anchors import AnchorReading
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, sign_checkpoint
from otel_audit.ledger.cosignature import CosignatureSigner
from otel_audit.ledger.encoding import leaf_hash
from otel_audit.ledger.findings import Code
from otel_audit.ledger.keys import sign_rotation
from otel_audit.ledger.note import Signer, parse_note
from otel_audit.ledger.times import NANOS, TimeRules
from otel_audit.ledger.trust import Trust
from otel_audit.model import AuditEvent, Checkpoint
from otel_audit.semconv import AUDIT_KEY_ROTATION_STATEMENT
from tests.attacks.ledger import ANCHORED, CHECKPOINTS, KEYS, ORIGIN, SIGNER, SIZE, START, TABLES, Built, Store, event

OTHER: Final = Signer("audit.example.com/receiver-1", b"o" * 32)
NEXT: Final = Signer(ORIGIN, b"n" * 32)
THIEF: Final = Signer(ORIGIN, b"x" * 32)
WITNESS: Final = CosignatureSigner("witness.example/w1", b"w" * 32)
DAY: Final = 24 * 3600 * NANOS
ROTATED_AT: Final = 620


@dataclass
class Scene:
    """The store under attack, the ledger as it was, and what the verifier has from elsewhere."""

    store: Store
    built: Built
    anchors: AnchorReading | None
    trust: Trust = field(default_factory=lambda: Trust(tuple(KEYS)))
    expected: Sequence[str] = ()
    times: TimeRules = field(default_factory=TimeRules)

    def replace_all(self, forged: Built) -> None:
        self.store.truncate(*TABLES)
        self.store.insert_all(forged)

    def sql(self, *statements: str) -> None:
        for statement in statements:
            self.store.run(statement)


@dataclass(frozen=True)
class Attack:
    """``act`` is the attack; ``code``, ``seq``, ``column`` and the words of ``told`` are what the finding must say.

    ``others`` are the codes that come with it. ``verdict`` is the report's status. ``bundled`` is what becomes of a
    bundle that is made of everything in the attacked store: the code that its check names (None: ``code`` as well),
    or ``NOT_MADE``, or ``NOT_IN_IT``.
    """

    name: str
    act: Callable[[Scene], Any]
    code: Code
    seq: int | None = None
    column: str | None = None
    told: tuple[str, ...] = ()
    others: frozenset[Code] = frozenset()
    verdict: str = "tampered"
    bundled: Code | str | None = None


NOT_MADE: Final = "no bundle: its maker is told to run verify, or that nothing is there"
NOT_IN_IT: Final = "a selection of true entries: what was altered is not in it, and only the store's own check tells"


def update(column: str, value: str, seq: int) -> Callable[[Scene], None]:
    return lambda scene: scene.sql(f"ALTER TABLE audit_entries UPDATE {column} = {value} WHERE seq = {seq}")


def sql(*statements: str) -> Callable[[Scene], None]:
    return lambda scene: scene.sql(*statements)


def rewritten(built: Built, first: int) -> Built:
    return built.rewritten_from(first, lambda columns: columns.update(decision="decision-x"))


def forge_row(seq: int, *, instead: bool) -> Callable[[Scene], None]:
    """A row with its own right hash: in place of the sealed one, or beside it."""

    def act(scene: Scene) -> None:
        if instead:
            scene.sql(f"ALTER TABLE audit_entries DELETE WHERE seq = {seq}")
        scene.store.insert_entries(rewritten(scene.built, seq), seq, seq + 1)

    return act


def second_writer(scene: Scene) -> None:
    """Another process goes on from entry 640 with events of its own, while the first one writes."""
    branch = Built(ORIGIN, scene.built.leaves[:640], scene.built.encodings[:640])
    branch.extend(AuditEvent({**event(seq).columns, "event_id": f"other-{seq}"}) for seq in range(640, 660))
    scene.store.insert_entries(branch, 640, 660)


def store_twice(scene: Scene) -> None:
    scene.store.copy_row(150, service="service")


def swap(scene: Scene) -> None:
    scene.sql("CREATE OR REPLACE TABLE saved ENGINE = Memory AS SELECT * FROM audit_entries WHERE seq IN (150, 151)")
    scene.sql("ALTER TABLE audit_entries DELETE WHERE seq IN (150, 151)")
    for source, place in ((150, 151), (151, 150)):
        row = f"(SELECT * FROM saved WHERE seq = {source})"
        scene.sql(f"INSERT INTO audit_entries SELECT * REPLACE(toUInt64({place}) AS seq) FROM {row}")


def other_schema(scene: Scene) -> None:
    built = scene.built
    encoding = struct.pack("<H", 2) + built.encodings[-1][2:]
    forged = Built(ORIGIN, [*built.leaves[:-1], leaf_hash(encoding)], [*built.encodings[:-1], encoding])
    scene.sql(
        "ALTER TABLE audit_entries DELETE WHERE seq = 699", "ALTER TABLE audit_checkpoints DELETE WHERE size = 700"
    )
    scene.store.insert_entries(forged, 699)
    scene.store.insert_checkpoints(forged, (700,))


def rehash_all_after(scene: Scene) -> None:
    """One entry edited, and everything after it chained and hashed anew."""
    scene.store.truncate("audit_entries")
    scene.store.insert_entries(rewritten(scene.built, 310))


def rewrite_with_key(first: int) -> Callable[[Scene], None]:
    """Somebody who has the signing key makes rows, tiles and checkpoints anew from an entry on."""
    return lambda scene: scene.replace_all(rewritten(scene.built, first))


def sign_twice(scene: Scene) -> None:
    scene.store.insert_checkpoints(rewritten(scene.built, 310), (512,))


def remove_a_ledger(scene: Scene) -> None:
    note = sign_checkpoint(Checkpoint(OTHER.name, 3, bytes(32)), [OTHER])
    scene.trust = scene.trust.with_keys([OTHER.verifier_key])
    scene.anchors = AnchorReading((*scene.anchors.checkpoints, AnchoredCheckpoint(OTHER.name, note, "elsewhere")))


def wipe_without_anchor(scene: Scene) -> None:
    scene.store.truncate(*TABLES)
    scene.anchors = None


def edit_note(scene: Scene) -> None:
    note = scene.built.note(512).replace("\n512\n", "\n513\n")
    scene.store.run("ALTER TABLE audit_checkpoints UPDATE note = {note:String} WHERE size = 512", note=note)


def sign_with(signer: Signer, size: int) -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        scene.sql(f"ALTER TABLE audit_checkpoints DELETE WHERE size = {size}")
        scene.store.insert_checkpoints(scene.built, (size,), signer)

    return act


def swap_origins(scene: Scene) -> None:
    """Another ledger's checkpoint in the place of ours, though that ledger is trusted as well."""
    note = scene.built.note(512, OTHER, OTHER.name)
    scene.trust = scene.trust.with_keys([OTHER.verifier_key])
    scene.store.run("ALTER TABLE audit_checkpoints UPDATE note = {note:String} WHERE size = 512", note=note)


def rotated(old: Signer, new: Signer, sizes: Callable[[int], Signer]) -> Callable[[Scene], None]:
    """A ledger with a rotation from ``old`` to ``new`` in entry 620, whose checkpoints ``sizes`` says who signs."""

    def act(scene: Scene) -> None:
        statement = sign_rotation(old, new)
        columns = {"event_type": "key_rotation", "record_kind": "internal"}
        rotation = {**event(ROTATED_AT).columns, **columns, "attributes": {AUDIT_KEY_ROTATION_STATEMENT: statement}}
        events = [AuditEvent(rotation) if seq == ROTATED_AT else event(seq) for seq in range(SIZE)]
        forged = Built().extend(events)
        scene.replace_all(forged)
        scene.store.truncate("audit_checkpoints")
        for size in CHECKPOINTS:
            scene.store.insert_checkpoints(forged, (size,), sizes(size))

    return act


def witnessed(scene: Scene, built: Built, moments: dict[int, int]) -> None:
    """A trusted witness cosigned these sizes at these times (nanoseconds since 1970), and nobody else anchors."""
    anchored = []
    for size, moment in moments.items():
        note = built.note(size)
        cosigned = note + WITNESS.cosign(parse_note(note)[0], moment // NANOS)
        anchored.append(AnchoredCheckpoint(ORIGIN, cosigned, "w", kind="witness", attested_unix_nano=moment))
    scene.anchors = AnchorReading(tuple(anchored))
    scene.trust = replace(scene.trust, witnesses=(WITNESS.verifier_key.format(),))


def steal_the_key(scene: Scene) -> None:
    """The key was stolen after entry 300 was cosigned; what it signed later may be the thief's."""
    witnessed(scene, scene.built, {size: START + size * NANOS for size in ANCHORED})
    key = f"{ORIGIN}+{KEYS[0].key_id.hex()}"
    scene.trust = replace(scene.trust, compromised_keys={key: START + 301 * NANOS})


def with_clock(recorded_at: Callable[[int], int], seen: int, at: int) -> Callable[[Scene], None]:
    """The ledger as a receiver with such a clock makes it; a witness saw ``seen`` entries at ``at``."""

    def act(scene: Scene) -> None:
        forged = Built().extend((event(seq) for seq in range(SIZE)), recorded_at)
        scene.replace_all(forged)
        witnessed(scene, forged, {seen: at})

    return act


def set_back(seq: int) -> int:
    """From entry 650 on the clock shows the day before."""
    return START + seq * NANOS - (DAY if seq >= 650 else 0)


def let_it_age(scene: Scene) -> None:
    scene.times = TimeRules(max_age_nanos=DAY, now_unix_nano=2 * 10**18)


def tear_anchor(scene: Scene) -> None:
    scene.anchors = replace(scene.anchors, damaged=("2026-02-02.jsonl line 4: torn",))


C = Code
_BOTH: Final = frozenset({C.LEDGER_EMPTIED, C.LEDGER_MISSING})
ATTACKS: Final = (
    # What other packages let through, one by one.
    Attack(
        "the tail is cut",
        sql("ALTER TABLE audit_entries DELETE WHERE seq >= 650"),
        *(C.TAIL_TRUNCATED, 650),
        told=("the last 50 are missing",),
        bundled=NOT_MADE,
    ),
    Attack(
        "the newest entries and all that knows of them are cut off",
        sql(
            "ALTER TABLE audit_entries DELETE WHERE seq >= 550",
            "ALTER TABLE audit_checkpoints DELETE WHERE size > 550",
        ),
        C.TAIL_TRUNCATED,
        550,
        told=("holds 600 entries",),
        others=frozenset({C.ROLLBACK}),
        bundled=C.ROLLBACK,
    ),
    Attack(
        "everything is wiped",
        lambda scene: scene.store.truncate(*TABLES),
        C.LEDGER_MISSING,
        others=_BOTH,
        bundled=NOT_MADE,
    ),
    Attack("the entries are wiped", lambda scene: scene.store.truncate(TABLES[0]), C.LEDGER_EMPTIED, bundled=NOT_MADE),
    Attack(
        "a queryable column is rewritten",
        update("decision", "'decision-b'", 150),
        *(C.ROW_MODIFIED, 150, "decision"),
        told=("is 'decision-b', was sealed as 'decision-a'",),
    ),
    Attack(
        "who acted is rewritten",
        update("actor_type", "'actor_type-b'", 150),
        *(C.ROW_MODIFIED, 150, "actor_type"),
        told=("is 'actor_type-b', was sealed as 'actor_type-a'",),
    ),
    Attack("the actor's id is rewritten", update("actor_id", "'somebody else'", 150), C.ROW_MODIFIED, 150),
    Attack("edit, and re-hash of everything after it", rehash_all_after, C.CHAIN_REBUILT, 310),
    Attack("edit, and its own hash made anew", forge_row(150, instead=True), C.ROW_MODIFIED, 150, "decision"),
    Attack("two writers", second_writer, C.ROW_INSERTED, 640, others=frozenset({C.CHAIN_REBUILT}), bundled=NOT_MADE),
    Attack(
        "nothing is there to verify", wipe_without_anchor, C.NOTHING_VERIFIED, verdict="unverifiable", bundled=NOT_MADE
    ),
    # Rows and texts.
    Attack("an entry is deleted", sql("ALTER TABLE audit_entries DELETE WHERE seq = 150"), C.ROW_DELETED, 150),
    Attack(
        "an entry is forged beside the sealed one",
        forge_row(150, instead=False),
        C.ROW_INSERTED,
        150,
        bundled=C.ROW_DUPLICATED,
    ),
    Attack(
        "two entries change places",
        swap,
        C.ROW_REORDERED,
        150,
        others=frozenset({C.CONTENT_MISSING}),
        bundled=C.ROW_MODIFIED,
    ),
    Attack(
        "an entry is stored twice", lambda scene: scene.store.copy_row(150, service="service"), C.ROW_DUPLICATED, 150
    ),
    Attack(
        "an entry gets another schema version", other_schema, C.NON_CANONICAL, 699, "schema_version", bundled=NOT_MADE
    ),
    Attack(
        "a text is rewritten",
        sql("ALTER TABLE audit_content UPDATE value = 'another' WHERE seq = 150 AND name = 'input'"),
        *(C.CONTENT_MISMATCH, 150, "content"),
    ),
    Attack(
        "a text is removed",
        sql("ALTER TABLE audit_content DELETE WHERE seq = 150 AND name = 'input'"),
        *(C.CONTENT_MISSING, 150, "content"),
    ),
    # History.
    Attack(
        "the oldest entries are removed",
        sql("ALTER TABLE audit_entries DELETE WHERE seq < 10"),
        C.PREFIX_REMOVED,
        0,
        bundled=C.ROW_DELETED,
    ),
    Attack(
        "the whole store is rolled back",
        sql(
            "ALTER TABLE audit_entries DELETE WHERE seq >= 400",
            "ALTER TABLE audit_checkpoints DELETE WHERE size > 400",
            "ALTER TABLE audit_tiles DELETE WHERE tile_index >= 1",
        ),
        *(C.ROLLBACK, 400),
        others=frozenset({C.TAIL_TRUNCATED}),
    ),
    Attack(
        "the holder of the key rewrites what an anchor has seen",
        rewrite_with_key(310),
        C.SPLIT_VIEW,
        others=frozenset({C.CHAIN_REBUILT}),
        bundled=C.CHAIN_REBUILT,
    ),
    Attack(
        "the holder of the key rewrites everything after the last anchor",
        rewrite_with_key(650),
        *(C.UNANCHORED_TAIL, 600),
        told=("entries 600 to 699 (100, recorded over 99 s)",),
        verdict="ok",
    ),
    Attack("a split view", sign_twice, C.SPLIT_VIEW, others=frozenset({C.CHAIN_REBUILT}), bundled=NOT_IN_IT),
    Attack(
        "a tile is removed",
        sql("ALTER TABLE audit_tiles DELETE WHERE tile_index = 1"),
        C.TREE_DIVERGED,
        256,
        bundled=NOT_MADE,
    ),
    Attack("a ledger of several is removed", remove_a_ledger, C.LEDGER_MISSING, others=_BOTH, bundled=NOT_IN_IT),
    # Keys.
    Attack(
        "a checkpoint is edited", edit_note, C.BAD_SIGNATURE, told=("stored checkpoint of size 512",), bundled=NOT_IN_IT
    ),
    Attack("a checkpoint is signed with a forged key", sign_with(THIEF, 512), C.UNKNOWN_KEY, bundled=NOT_IN_IT),
    Attack("the key is replaced without a rotation", sign_with(NEXT, 700), C.UNKNOWN_KEY),
    Attack("checkpoints of two ledgers change places", swap_origins, C.WRONG_ORIGIN, bundled=NOT_IN_IT),
    Attack(
        "a retired key goes on signing",
        rotated(SIGNER, NEXT, lambda _: SIGNER),
        C.KEY_OUTSIDE_VALIDITY,
        told=(f"was replaced by entry {ROTATED_AT}",),
    ),
    Attack(
        "a new key signs the past",
        rotated(SIGNER, NEXT, lambda _: NEXT),
        C.KEY_OUTSIDE_VALIDITY,
        told=(f"was first used after entry {ROTATED_AT}",),
        bundled=NOT_IN_IT,
    ),
    Attack(
        "a rotation is signed by a stranger",
        rotated(THIEF, NEXT, lambda _: SIGNER),
        *(C.UNKNOWN_KEY, ROTATED_AT),
    ),
    Attack(
        "a stolen key signs after the theft",
        steal_the_key,
        C.KEY_OUTSIDE_VALIDITY,
        told=("may have been in other hands",),
    ),
    # Times.
    Attack(
        "entries are dated back",
        with_clock(set_back, 600, START + 600 * NANOS),
        *(C.BACKDATED, 650, "recorded_at"),
        others=frozenset({C.NON_MONOTONIC}),
    ),
    Attack(
        "entries are dated ahead",
        with_clock(lambda seq: START + seq * NANOS + (DAY if seq >= 590 else 0), 600, START + 600 * NANOS),
        *(C.FUTURE_DATED, 590, "recorded_at"),
    ),
    Attack(
        "the receiver's clock is set back",
        with_clock(set_back, 700, START + DAY),
        *(C.NON_MONOTONIC, 650, "recorded_at"),
    ),
    Attack("nothing was sealed for long", let_it_age, C.STALE, bundled=NOT_IN_IT),
    # Anchors.
    Attack(
        "a line of an anchor file is torn",
        tear_anchor,
        C.ANCHOR_DAMAGED,
        told=("line 4",),
        verdict="ok",
        bundled=NOT_IN_IT,
    ),
)
