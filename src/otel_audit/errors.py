"""Every error otel-audit raises, under one root.

Each class says what the caller is meant to do about it: mend the input, retry, or stop and look.
"""

from __future__ import annotations


class AuditError(Exception):
    """Root of all otel-audit errors. Catch this to catch everything of ours."""


class ConfigError(AuditError):
    """A setting is missing or wrong. Fix the setting the message names, then start again."""


class UnknownRationaleCode(AuditError):
    """A reviewer's reason is not in the strict list of codes. Nothing was recorded: decide again with one that is."""


class MalformedInput(AuditError):
    """Bytes or text that do not follow the format they claim. Do not retry unchanged: fix the producer."""


class RejectedBatch(MalformedInput):
    """An OTLP export request that could not be read at all. Nothing of it was stored."""


class RecordConflict(AuditError):
    """A record id is known already with another payload. Nothing of the batch was stored; do not retry unchanged."""


class StoreError(AuditError):
    """The store refused or did not answer. Nothing is lost: retry when it is reachable again."""


class StoreLocked(StoreError):
    """Another process has the embedded data folder open. Use that process, or stop it first."""


class StoreUnavailable(StoreError):
    """The store is down or its state is not known yet. Retry after the delay the message gives."""


class SpoolFull(AuditError):
    """The spool of an application may not grow further. Raised only where ``on_full="raise"`` asks for it."""


class SpoolFailed(AuditError):
    """The disk did not take a record that must be kept before the application goes on. Mend it; it was not kept."""


class SpoolDamaged(AuditError):
    """A file of the spool can not be read on from some point. What came before is delivered; the file is kept."""


class LedgerConflict(AuditError):
    """The ledger in the store is not the one this writer continued. Stop and run ``otel-audit verify``."""


class VerificationError(AuditError):
    """A proof, signature or hash does not hold. Do not retry: somebody has to look at the evidence."""


class VerificationBroken(AuditError):
    """A verification did not run to its end, so that nothing was concluded. Run it again."""


class AnchorUnavailable(AuditError):
    """An anchor refused or did not answer. Nothing is lost: the receiver tries again until it succeeds."""


class AnchorConflict(AuditError):
    """An anchor holds something else where our checkpoint should be. Run ``otel-audit verify``."""
