"""First decisions counted in one pass, against a slow count in Python over the same random ledger."""

import random
from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from otel_audit.model import Filter
from otel_audit.store.analytics import Analytics
from tests.integration.ledger_rows import LedgerRows

DECISIONS = ("approved", "modified", "edited", "rejected", "escalated", "abandoned", "")
ZONE = "Asia/Tokyo"


def random_ledger(seed, count=600):
    """Entries of few tasks, in no order, with ties in time, repeats, failures and entries without a task."""
    rng, ledger, rows = random.Random(seed), LedgerRows(), []
    ends = rng.sample(range(900_000), 400)  # an answer's time is its own: of two at once either may be the last
    for number in range(count):
        row = {"task_id": rng.choice(["", *(f"t{n}" for n in range(70))]), "task_kind": rng.choice(["loan", "claim"])}
        row |= {"service": rng.choice(["a", "b", ""]), "duplicate_of": rng.choice(["", "", "", "s"])}
        if rng.random() < 0.5 and ends:
            row |= {"event_type": "ai_call", "at": ends.pop(), "status": rng.choice(["", "", "error"])}
            row |= {"request_model": rng.choice(["m", "n", ""]), "response_model": rng.choice(["m-1", "n-1", ""])}
            row |= {"prompt_name": "p", "prompt_version": rng.choice("12"), "error_type": rng.choice(["", "", "", "x"])}
            row |= {"confidence": rng.choice([None, 0.0, 0.3, 0.55, 0.95, 1.0])}
        else:
            at = rng.randrange(30) * 30_000
            row |= {"event_type": "review", "at": at, "ends": at, "reviewer_id": rng.choice("uvw")}
            row |= {"decision": rng.choice(DECISIONS), "is_override": rng.random() < 0.3, "span_id": f"{number}"}
        ledger.add(**row)
        rows.append(row)
    return ledger, rows


def asked(row):
    return row["request_model"] or row["response_model"]


def slow(rows, wanted):
    """Every count, the way that docs/how-to/dashboard.md defines it."""
    once = [row for row in rows if row["task_id"] and not row["duplicate_of"]]
    by, days, bins = {}, Counter(), {}
    for task in {row["task_id"] for row in once}:
        calls = [r for r in once if r["task_id"] == task and r["event_type"] == "ai_call"
                 and r["status"] != "error" and not r["error_type"]]  # fmt: skip
        reviews = [r for r in once if r["task_id"] == task and r["event_type"] == "review"
                   and r["decision"] not in ("", "abandoned")]  # fmt: skip
        if not calls or not reviews:
            continue
        stated = max(calls, key=lambda call: call["at"])["confidence"]
        for review in reviews:
            if review["ends"] != min(each["ends"] for each in reviews) or not wanted(review, calls):
                continue
            groups = {("", ""), ("kind", review["task_kind"]), ("reviewing", review["service"])}
            groups |= {("model", asked(call)) for call in calls}
            groups |= {("model_version", call["response_model"]) for call in calls}
            groups |= {("prompt", f"p\n{call['prompt_version']}") for call in calls}
            groups |= {("service", call["service"]) for call in calls}
            for group in groups:
                by.setdefault(group, []).append(review)
            local = datetime.fromtimestamp(1_794_000_000 + review["ends"], UTC).astimezone(ZoneInfo(ZONE))
            days[local.date().isoformat(), review["decision"]] += 1
            if stated is not None and review["decision"] != "escalated":
                bins.setdefault(min(9, int(stated * 10)), []).append((stated, review))
    return by, days, bins


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("narrow", ["all", "kind", "model"])
def test_one_pass_counts_what_a_slow_count_does(database, seed, narrow):
    """All, by each group, by day and by confidence, with a filter of the review and with one of the task's calls."""
    ledger, rows = random_ledger(seed)
    ledger.write(database)
    where, wanted = {
        "all": (Filter(), lambda review, calls: True),
        "kind": (Filter(task_kind=("loan",)), lambda review, calls: review["task_kind"] == "loan"),
        "model": (Filter(task_asked_model=("m",)), lambda review, calls: any(asked(call) == "m" for call in calls)),
    }[narrow]
    found = Analytics(database).first_decisions(where, ZONE, by_call=True)
    by, days, bins = slow(rows, wanted)
    assert len(by) > 10
    got = {("", ""): found.total} | {(dim, each.group): each for dim, lines in found.by.items() for each in lines}
    assert got.keys() == by.keys()
    for key, reviews in by.items():
        each, said = got[key], Counter(review["decision"] for review in reviews)
        assert (each.reviews, each.decided) == (len(reviews), len(reviews)), key
        assert each.modified == said["modified"] + said["edited"], key
        assert (each.approved, each.rejected, each.escalated) == (
            said["approved"], said["rejected"], said["escalated"]), key  # fmt: skip
        assert each.overrides == sum(review["is_override"] for review in reviews), key
    assert {(day, decision): n for day, decision, n in found.days} == days
    assert {each.number: each.reviews for each in found.bins} == {number: len(each) for number, each in bins.items()}
    for each in found.bins:
        inside = bins[each.number]
        assert each.confidence == pytest.approx(sum(stated for stated, _ in inside) / len(inside))
        assert each.kept == sum(not r["is_override"] and r["decision"] != "rejected" for _, r in inside)
    short = Analytics(database).first_decisions(where, ZONE, by_call=False)
    assert (short.total, short.days) == (found.total, found.days)
    assert [each.kept for each in short.bins] == [each.kept for each in found.bins]  # means differ in their last digit
    assert short.by == {dim: found.by[dim] for dim in ("kind", "reviewing")}
