"""The words that go with a bundle: a printable page for people who don't run programs, and a README for who does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Facts:
    """What the cover states: as in the manifest. ``asked`` is the filter as (name, value)."""

    made_at: str
    made_by: str
    purpose: str
    made_with: str
    asked: tuple[tuple[str, str], ...]
    first_at: str
    last_at: str
    entries: int
    related: int
    texts: int
    erased: int
    not_sealed: int
    signed: bool


_PROVES: Final = (
    "Every entry in here is in the ledger as shown: nothing of it was changed since its checkpoint was signed.",
    "Every text in here (questions, answers, reasons, changes) is the one that was recorded.",
    "Where a text was erased, a signed entry says who asked for it, who approved it and why.",
    "Up to the anchored checkpoint, history could not be rewritten by anybody who could not also replace the anchor.",
)
_DOES_NOT: Final = (
    "That what was recorded is true, or that a person meant it.",
    "That nothing happened that was never recorded.",
    "That no matching entry was left out: where the manifest is signed, the holder of the ledger's key says so.",
    "What somebody with the signing key did before the first anchor outside of their reach.",
    "Who made the bundle, when and why: these lines are stated by its maker.",
)
STYLE: Final = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:#1a1d21;background:#fff;margin:0}
main{max-width:46rem;margin:0 auto;padding:2.5rem 1.25rem}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
p.sub{color:#555b63;margin:0 0 1.5rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.45rem .75rem .45rem 0;border-bottom:1px solid #e3e5e8;font-weight:400}
th{color:#555b63;width:11rem}td{overflow-wrap:anywhere}ol,ul{padding-left:1.25rem}li{margin:.35rem 0}
code{font:.9em ui-monospace,Menlo,Consolas,monospace;background:#f3f4f6;padding:.1em .3em;border-radius:3px;
overflow-wrap:anywhere}pre{background:#f3f4f6;padding:.75rem 1rem;border-radius:6px;white-space:pre-wrap;margin:.5rem 0}
pre code{background:none;padding:0}footer{margin-top:2.5rem;color:#555b63;font-size:.875rem}
@media(max-width:30rem){th,td{display:block;width:auto;border:0;padding:0}td{padding-bottom:.6rem;
border-bottom:1px solid #e3e5e8}main{padding:1.5rem 1rem}}
@media print{body{font-size:11pt}main{max-width:none;padding:0}h2,tr,li{break-inside:avoid}h2{break-after:avoid}
pre,code{background:none;border:0}pre{border:1px solid #ccc}@page{margin:20mm}}
"""


def cover_page(facts: Facts, ledgers: Sequence[dict[str, Any]]) -> str:
    """Return index.html: one page without scripts or anything from elsewhere."""
    rows = [
        ("Made", f"{_plain(facts.made_at)} by {facts.made_by}"),
        ("Purpose", facts.purpose or "not stated"),
        *((f"Asked for: {name.replace('_', ' ')}", value) for name, value in facts.asked),
        ("Covers", f"{_plain(facts.first_at)} to {_plain(facts.last_at)}"),
        ("Entries", f"{facts.entries:,} that match, and {facts.related:,} that explain them"),
        ("Texts", f"{facts.texts:,}" + (f"; {facts.erased:,} are gone" if facts.erased else "")),
    ]
    if facts.not_sealed:
        rows.append(("Left out", f"{facts.not_sealed:,} matching entries, recorded after the newest checkpoint"))
    for each in ledgers:
        anchors = f", {each['anchors']} anchored checkpoints" if each["anchors"] else ", no anchor"
        rows.append(("Ledger", f"{each['origin']}: checkpoint of {each['size']:,} entries{anchors}"))
    rows += [
        ("Manifest", "signed with the ledger's key" if facts.signed else "not signed"),
        ("Times", "UTC. Made with " + facts.made_with),
    ]
    table = "".join(f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    task = next((value for name, value in facts.asked if name == "task_id"), "")
    title = f"Evidence for task {task}" if task else "Evidence from the audit trail"
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1><p class='sub'>Records of an AI system and of the people who oversee it, with what "
        f"is needed to check that nobody changed them.</p><table>{table}</table>"
        f"<h2>What this proves</h2>{_list(_PROVES)}<h2>What it does not prove</h2>{_list(_DOES_NOT)}"
        f"<h2>How to check it, in three steps</h2>{_STEPS}"
        "<h2>What is in here</h2><table>"
        + "".join(f"<tr><th scope='row'><code>{name}</code></th><td>{what}</td></tr>" for name, what in _FILES)
        + "</table><footer>This page is for reading: it is not proof by itself. Only the check is.</footer>"
        "</main></body></html>\n"
    )


_STEPS: Final = (
    "<ol><li>Get the file <code>trust.json</code> with the ledger's public keys from whoever runs the ledger, "
    "<b>by another way than you got this bundle</b>: in person, from their website, from your own files. There the "
    "command is <code>otel-audit keys export</code>.</li>"
    "<li>On a computer with Python, install one package: <pre><code>pip install cryptography</code></pre></li>"
    "<li>Run the program that is in this bundle (or, more strictly, one that you got elsewhere; it is short, and meant "
    "to be read):<pre><code>python verify_bundle.py bundle.zip --trust trust.json</code></pre> It says <b>OK</b>, or "
    "names each entry and field that was altered.</li></ol>"
)
_FILES: Final = (
    ("entries.csv", "The entries, for a spreadsheet."),
    ("entries.jsonl", "The same with every field, for programs."),
    ("entries.texts.jsonl", "The texts, each with what opens the commitment to it."),
    ("entries.bin", "The entries as they were hashed."),
    ("related.*", "Entries that explain the others: erasures, key rotations, log records that hold texts."),
    ("proofs/", "For each entry, that it is in the ledger (C2SP tlog-proof)."),
    ("checkpoints/, anchors/", "Signed states of the ledger, and copies and timestamps of them kept elsewhere."),
    ("manifest.json", "What was asked for, what is in here, and the SHA-256 of each file; manifest.note signs it."),
    ("verify_bundle.py", "Checks all of it. It needs nothing of otel-audit."),
)


def readme(facts: Facts) -> str:
    """Return README.txt."""
    return f"""An evidence bundle of otel-audit: {facts.entries} entries, {facts.first_at} to {facts.last_at}.

index.html says in plain words what this is, what it proves and what it does not.

To check it:

1. Get trust.json, the ledger's public keys, from whoever runs the ledger, by another way than you got this bundle.
   (There: otel-audit keys export > trust.json)
2. pip install cryptography        (Python 3.9 or later)
3. python verify_bundle.py BUNDLE.zip --trust trust.json

Exit code 0: nothing was altered. 1: something was, or nothing could be proved. 2: it could not be checked.
Whoever has otel-audit can run: otel-audit verify BUNDLE.zip --trust trust.json

A proof in proofs/ is a C2SP tlog-proof (https://c2sp.org/tlog-proof); the hash of an entry is SHA-256 of a zero byte
and the entry's encoding. Of a timestamp (anchors/*/*.tsr) verify_bundle.py checks that it is over the note beside it,
not who signed it: for that it prints the command, openssl ts -verify. Unpack the bundle, and get the authority's root
certificate as roots.pem. otel-audit verify does both.
"""


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _plain(instant: str) -> str:
    """Shorten an ISO 8601 time in UTC to the second, for people."""
    return f"{instant[:10]} {instant[11:19]} UTC"
