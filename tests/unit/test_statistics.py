"""Statistics against worked examples that others published, and what must always hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_audit.reports.statistics import (
    calibration_error,
    cohen_kappa,
    difference,
    krippendorff_alpha,
    percent_agreement,
    reliability_curve,
    wilson,
)

LABELS = st.sampled_from(["approved", "modified", "rejected"])
TABLES = st.dictionaries(st.lists(LABELS, min_size=1, max_size=4).map(tuple), st.integers(1, 9), max_size=6)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(hits, n, low, high):
    """The intervals are those of Newcombe 1998 (Stat. Med. 17:857), table I, method 3."""
    found = wilson(hits, n)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("before", "after", "low", "high"),
    [((48, 80), (56, 70), -0.3339, -0.0524), ((3, 10), (9, 10), -0.8090, -0.1705), ((0, 20), (10, 10), -1.0, -0.6791)],
)
def test_difference_as_published(before, after, low, high):
    """The intervals are those of Newcombe 1998 (Stat. Med. 17:873), table II, method 10 (first minus second there)."""
    found = difference(wilson(*after), wilson(*before))
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_kappa_as_published():
    """Cohen's kappa of the worked 2 x 2 example in Wikipedia, and of scikit-learn's documentation."""
    assert cohen_kappa({("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15}).value == pytest.approx(0.4)
    pairs = zip("202201", "002202", strict=True)
    table = {}
    for pair in pairs:
        table[pair] = table.get(pair, 0) + 1
    assert cohen_kappa(table).value == pytest.approx(0.4285714)


def table_of(*observers):
    table = {}
    for unit in zip(*observers, strict=True):
        said = tuple(value for value in unit if value != ".")
        table[said] = table.get(said, 0) + 1
    return table


@pytest.mark.parametrize(
    ("observers", "alpha"),
    [
        (("0100000010", "1110010000"), 0.095),
        (("aabbdcccedda", "babbbccceddd"), 0.692),
        (("123321412...", "123322412" + "5.3", ".33323422" + "51.", "123324412" + "51."), 0.743),
    ],
)
def test_alpha_as_published(observers, alpha):
    """Krippendorff's alpha of the worked examples A, B and C in "Computing Krippendorff's Alpha-Reliability" (2011)."""
    found = krippendorff_alpha(table_of(*observers)).value
    assert round(found, 3) == alpha


def test_reliability_as_published():
    """The curve of scikit-learn's documentation of calibration_curve with three bins."""
    curve = reliability_curve([(4, 0.2, 0), (2, 0.525, 1), (3, 0.85, 3), (0, 0.0, 0)])
    assert [(each.stated, each.right.value) for each in curve] == [(0.2, 0.0), (0.525, 0.5), (0.85, 1.0)]
    assert calibration_error(curve) == pytest.approx((4 * 0.2 + 2 * 0.025 + 3 * 0.15) / 9)


def test_nothing_to_tell_is_none():
    """Without two ratings of a unit, or with one answer only, there is no agreement beyond chance to state."""
    for statistic in (cohen_kappa, krippendorff_alpha):
        assert statistic({}) is None
        assert statistic({("a",): 5}) is None
        assert statistic({("a", "a"): 5}) is None
    assert percent_agreement({("a", "a"): 5}).value == 1
    assert wilson(0, 0) is None
    assert calibration_error([]) is None
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)


@given(TABLES)
def test_agreement_holds_its_bounds(table):
    """Alpha and kappa never exceed 1, lie inside their interval, and are the same for the same seed."""
    for statistic in (cohen_kappa, krippendorff_alpha):
        found = statistic(table)
        if found is None:
            continue
        assert found.value <= 1 + 1e-9
        assert found == statistic(dict(reversed(table.items())))
        if found.low is not None:
            assert found.low <= found.value <= found.high
        assert found.n == sum(number for said, number in table.items() if len(said) > 1)


@given(TABLES)
def test_alpha_does_not_depend_on_who_speaks_first(table):
    """The order of the people in a unit changes nothing."""
    turned = {}
    for said, number in table.items():
        turned[said[::-1]] = turned.get(said[::-1], 0) + number
    one, other = krippendorff_alpha(table), krippendorff_alpha(turned)
    assert (one is None) == (other is None)
    assert one is None or one.value == pytest.approx(other.value)


@given(st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_share(given_share):
    """A share lies inside its interval, the interval inside 0 and 1, and the mirror image is its mirror image."""
    hits, n = given_share
    found = wilson(hits, n)
    if found is None:
        return
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert wilson(n - hits, n).low == pytest.approx(1 - found.high)
