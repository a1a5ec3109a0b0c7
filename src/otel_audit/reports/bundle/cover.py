"""The words that go with a bundle: a printable page for people who don't run programs, and a README for who does. Pure.

It looks like the dashboard, and loads nothing from elsewhere. What it says of anchors is what they state: only a check
proves it, and the page says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class AnchorFact:
    """What an anchored checkpoint of the bundle states: its kind, how many entries it covers, and when it was made.

    ``state`` is in words; ``is_pending`` when it attests nothing yet.
    """

    kind: str
    size: int
    state: str
    is_pending: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What the cover states: as in the manifest. ``asked`` is the filter as (name, value).

    ``anchors`` are those of each ledger, by origin.
    """

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
    anchors: dict[str, tuple[AnchorFact, ...]]


STYLE: Final = """
:root{color-scheme:light;--text:#17202e;--muted:#566274;--line:#dfe4ec;--soft:#f5f7fa;--blue:#1d4ed8}
*{box-sizing:border-box}
body{font:16px/1.55 "Source Sans 3","Source Sans",Inter,system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
color:var(--text);background:#fff;margin:0}
main{max-width:54rem;margin:0 auto;padding:2.25rem 1.5rem 3rem}
h1{font-size:1.75rem;font-weight:650;line-height:1.25;margin:0 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;font-weight:640;margin:2.1rem 0 .5rem}h3{font-size:1rem;font-weight:640;margin:1.1rem 0 .2rem}
p.sub{color:var(--muted);margin:0 0 1.25rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.45rem .9rem .45rem 0;border-bottom:1px solid var(--line);
font-weight:400}
th{color:var(--muted);width:12rem}td{overflow-wrap:anywhere}ol,ul{padding-left:1.25rem;margin:.4rem 0}
li{margin:.35rem 0}code{font:.9em ui-monospace,Menlo,Consolas,monospace;background:var(--soft);padding:.1em .3em;
border-radius:4px;overflow-wrap:anywhere}pre{background:var(--soft);padding:.7rem 1rem;border-radius:8px;
white-space:pre-wrap;margin:.4rem 0}pre code{background:none;padding:0}
footer{margin-top:2.5rem;color:var(--muted);font-size:.875rem}
@media(max-width:30rem){th,td{display:block;width:auto;border:0;padding:0}td{padding-bottom:.6rem;
border-bottom:1px solid var(--line)}main{padding:1.5rem 1rem}}
@media print{body{font-size:10.5pt}main{max-width:none;padding:0}h2,tr,li,pre{break-inside:avoid}
h2{break-after:avoid}pre,code{background:none;border:0}pre{border:1px solid #ccc}@page{margin:18mm}}
"""
_STYLE: Final = """
.brand{display:flex;align-items:center;gap:.6rem;color:var(--muted);font-size:.9rem;margin-bottom:1.1rem}
.banner{border:1px solid var(--line);border-radius:10px;padding:.8rem 1.1rem;background:#fff3e0;line-height:1.5}
.banner b{color:#9a4a00}.banner.good{background:#e6f6f0}.banner.good b{color:#04694e}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.6rem;margin:1rem 0 0;padding:0}
.figures div{border:1px solid var(--line);border-radius:10px;padding:.6rem .9rem;color:var(--muted);font-size:.85rem}
.figures b{display:block;font-size:1.3rem;font-weight:620;color:var(--text);font-variant-numeric:tabular-nums}
.two{display:grid;grid-template-columns:1fr 1fr;gap:1rem;margin-top:2rem}
.card{border:1px solid var(--line);border-radius:10px;padding:.8rem 1.1rem;break-inside:avoid}
.card h2{margin:.1rem 0 .3rem}.proved h2::before{content:"\\2713\\a0";color:#04694e}
.open h2::before{content:"\\25cb\\a0";color:#9a4a00}
.anchors td:first-child{width:13rem}.anchors .pending{color:#9a4a00}.root{color:var(--muted);font-size:.875rem}
.steps>li{margin:.7rem 0}
@media(max-width:44rem){.two{grid-template-columns:1fr}}
@media(max-width:30rem){.anchors td:not(:last-child){border:0;padding:0}}
@media print{.banner,.figures div,.card{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.figures{grid-template-columns:repeat(5,1fr)}}
"""
_LOGO: Final = (
    '<svg width="26" height="26" viewBox="0 0 26 26" aria-hidden="true"><rect width="26" height="26" rx="8" '
    'fill="#1d4ed8"/><path d="M7 13.5l4 4 8-9" fill="none" stroke="#fff" stroke-width="2.6" '
    'stroke-linecap="round" stroke-linejoin="round"/></svg>'
)


def cover_page(facts: Facts, ledgers: Sequence[dict[str, Any]]) -> str:
    """Return index.html: one page without scripts or anything from elsewhere."""
    task = next((value for name, value in facts.asked if name == "task_id"), "")
    title = f"Evidence for task {task}" if task else "Evidence from the audit trail"
    tone, strong, text = _standing(facts, ledgers)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}{_STYLE}</style></head><body><main>"
        f"<div class='brand'>{_LOGO}AI audit trail: evidence bundle</div>"
        f"<h1>{escape(title)}</h1><p class='sub'>Records of an AI system and of the people who oversee it, with what "
        "is needed to check that nobody changed them.</p>"
        f"<div class='banner {tone}'><b>{escape(strong)}</b> {escape(text)}</div>{_figures(facts)}"
        f"<h2>What was asked for, by whom and why</h2>{_table(_asking(facts))}"
        f"<h2>How to check it</h2>{_STEPS}"
        f"<div class='two'><div class='card proved'><h2>What a check proves</h2>{_list(_proves(facts))}</div>"
        f"<div class='card open'><h2>What it does not prove</h2>{_list(_does_not(facts))}</div></div>"
        f"<h2>Ledgers and anchors</h2>{''.join(_ledger(each, facts) for each in ledgers if each['entries'])}"
        "<h2>What is in here</h2><table>"
        + "".join(f"<tr><th scope='row'><code>{name}</code></th><td>{what}</td></tr>" for name, what in _FILES)
        + "</table><footer>This page is for reading, and no proof by itself: whoever could forge the bundle could "
        f"write it, too. Only the check is. All times are UTC. Made with {escape(facts.made_with)}.</footer>"
        "</main></body></html>\n"
    )


def _standing(facts: Facts, ledgers: Sequence[dict[str, Any]]) -> tuple[str, str, str]:
    """How well it is covered, in a sentence: tone, what stands out, and the rest."""
    used = [each for each in ledgers if each["entries"]]
    covered = [
        max((anchor.size for anchor in facts.anchors[each["origin"]] if not anchor.is_pending), default=0)
        for each in used
    ]
    under = "Every entry in here is under a signed checkpoint"
    if all(size > each["last_seq"] for size, each in zip(covered, used, strict=True)):
        return "good", "Anchored.", f"{under}, and a copy or timestamp of it was kept elsewhere."
    if any(covered):
        return "careful", "Partly anchored.", f"{under}, but the newest anchor in here ends before the last of them."
    return "careful", "Not anchored.", f"{under}, but no copy or timestamp of it from elsewhere is in here."


def _figures(facts: Facts) -> str:
    figures = [
        (facts.entries, "entries that match" if facts.entries != 1 else "entry that matches"),
        (facts.related, "more that explain them"),
        (facts.texts, "texts" if facts.texts != 1 else "text"),
        (facts.erased, "texts that are gone" if facts.erased != 1 else "text that is gone"),
        (facts.not_sealed, "left out: not sealed yet"),
    ]
    return f"<div class='figures'>{''.join(f'<div><b>{value:,}</b>{name}</div>' for value, name in figures)}</div>"


def _asking(facts: Facts) -> list[tuple[str, str]]:
    asked = [(_LABELS.get(name, name.replace("_", " ").capitalize()), value) for name, value in facts.asked]
    return [
        ("Purpose", facts.purpose or "not stated"),
        ("Made", f"{_plain(facts.made_at)} by {facts.made_by or 'somebody who did not say who'}"),
        *((name, _plain(value) if name in _LABELS.values() and _is_instant(value) else value) for name, value in asked),
        *([] if asked else [("Filter", "none: everything that is sealed")]),
        ("Period covered", f"{_plain(facts.first_at)} to {_plain(facts.last_at)}"),
        (
            "Manifest",
            "signed with the ledger's key: its holder says that this is all that matched"
            if facts.signed
            else "not signed: that nothing was left out rests on whoever gave you this",
        ),
    ]


_LABELS: Final = {
    "task_id": "Task",
    "reviewer_id": "Reviewer",
    "event_type": "Kind of event",
    "since": "From",
    "until": "Until (excluded)",
    "text": "Words in it",
    "trace_id": "Trace",
}


def _proves(facts: Facts) -> list[str]:
    return [
        "Every entry in here is in the ledger as shown: nothing of it was changed since its checkpoint was signed.",
        "Every cell of the tables says what its entry says.",
        "Every text in here (questions, answers, reasons, changes) is the one that was recorded.",
        *(
            ["Of each text that was erased a signed entry says who asked for it, who approved it, and why."]
            if facts.erased
            else []
        ),
        "Up to the newest anchor, history could not be rewritten by anybody who could not also replace that anchor.",
        "When a checkpoint existed at the latest: by a witness, a timestamp or a Bitcoin block that you trust.",
    ]


def _does_not(facts: Facts) -> list[str]:
    return [
        "That what was recorded is true, or that a person meant it.",
        "That nothing happened that was never recorded.",
        "That no matching entry was left out: "
        + ("the holder of the ledger's key says so." if facts.signed else "nobody signed for that."),
        "What somebody with the signing key did before the first anchor outside of their reach.",
        "Who made this bundle, when and why: its maker states that.",
        *(
            [f"Anything of {facts.not_sealed:,} matching entries that came after the newest checkpoint: not in here."]
            if facts.not_sealed
            else []
        ),
    ]


def _ledger(ledger: dict[str, Any], facts: Facts) -> str:
    rows = "".join(
        f"<tr><td>{escape(each.kind)}</td><td>{each.size:,} entries</td>"
        f"<td{' class=pending' if each.is_pending else ''}>{escape(each.state)}</td></tr>"
        for each in facts.anchors[ledger["origin"]]
    )
    anchors = f"<table class='anchors'>{rows}</table>" if rows else "<p>There is no anchor of it in here.</p>"
    said = f"{ledger['entries']:,} entries of it are in here, under its checkpoint of {ledger['size']:,} entries."
    return (
        f"<h3>{escape(ledger['origin'])}</h3><p class='root'>{said} Root hash <code>{escape(ledger['root_hash'])}"
        f"</code></p>{anchors}"
    )


_STEPS: Final = (
    "<ol class='steps'><li>Get <code>trust.json</code>, the ledger's public keys, from whoever runs the ledger, <b>by "
    "another way than this bundle</b>: in person, from their website, from your own files. They make it so: "
    "<pre><code>otel-audit keys export &gt; trust.json</code></pre></li>"
    "<li>On a computer with Python 3.9 or later, install one package: <pre><code>pip install cryptography</code></pre>"
    "</li><li>Take <code>verify_bundle.py</code> out of this bundle (more strictly: one that you got elsewhere), and "
    "run it over the zip as you got it:<pre><code>python verify_bundle.py evidence.zip --trust trust.json</code></pre>"
    " It begins with <b>OK</b>, or names each entry and field that was altered. Exit code 0: nothing was altered; 1: "
    "something was, or nothing could be proved; 2: it could not be checked.</li></ol>"
)
_FILES: Final = (
    ("entries.csv", "The entries, for a spreadsheet."),
    ("entries.jsonl", "The same with every field, for programs."),
    ("entries.texts.jsonl", "The texts, each with what opens the commitment to it."),
    ("entries.bin", "The entries as they were hashed."),
    ("related.*", "Entries that explain the others: erasures, retention, key rotations, log records that hold texts."),
    ("proofs/", "For each entry, that it is in the ledger (C2SP tlog-proof)."),
    ("checkpoints/", "Signed states of the ledgers, to which all proofs lead."),
    ("anchors/, digests/", "Copies and timestamps of such states that were kept elsewhere."),
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
certificate as roots.pem. otel-audit verify does both. A block's time (anchors/*/*.ots) counts where trust.json has the
block's hash in bitcoin_blocks; ots verify, with a Bitcoin node, checks the same files.
"""


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _is_instant(value: str) -> bool:
    return len(value) == len("2026-11-24T09:30:00.000000000Z") and value[10] == "T" and value[-1] == "Z"


def _plain(instant: str) -> str:
    """Shorten an ISO 8601 time in UTC to the second, for people."""
    return f"{instant[:10]} {instant[11:19]} UTC"
