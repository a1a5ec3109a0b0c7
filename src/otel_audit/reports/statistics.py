"""Statistics of reviews: proportions with an interval, agreement between people, and calibration. Pure.

Intervals are 95 % unless said otherwise. What can not be told from the numbers given is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

_Z95: Final = 1.959963984540054  # the normal distribution's 97.5 % point
_RESAMPLES: Final = 2000
_ALMOST_NOTHING: Final = 1e-9

Table = Mapping[tuple[str, ...], int]  # what the people of a unit said, in order, and of how many units that holds


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval and the number it was made from; ``low`` and ``high`` are None where unknown."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """One bin of a reliability curve: its mean stated confidence, and the share that was right with its interval."""

    stated: float
    right: Estimate


def wilson(hits: int, n: int) -> Estimate | None:
    """The share ``hits / n`` with Wilson's score interval; None for n = 0.

    E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209; method 3 of R. G. Newcombe, Stat. Med. 17 (1998) 857.

    >>> share = wilson(81, 263)
    >>> round(share.low, 4), round(share.high, 4)
    (0.2553, 0.3662)
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is no share")
    if n == 0:
        return None
    share, z2 = hits / n, _Z95 * _Z95
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At the ends the formula is exactly 0 or 1, up to rounding.
    return Estimate(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)), n)


def difference(before: Estimate, after: Estimate) -> Estimate:
    """How much a share changed, ``after - before``, with an interval from the two Wilson intervals.

    Method 10 of R. G. Newcombe, Stat. Med. 17 (1998) 873. ``n`` is the smaller of the two.
    """
    change = after.value - before.value
    if before.low is None or before.high is None or after.low is None or after.high is None:
        return Estimate(change, None, None, min(before.n, after.n))
    below = sqrt((after.value - after.low) ** 2 + (before.high - before.value) ** 2)
    above = sqrt((after.high - after.value) ** 2 + (before.value - before.low) ** 2)
    return Estimate(change, change - below, change + above, min(before.n, after.n))


def percent_agreement(table: Table) -> Estimate | None:
    """The share of units whose people all said the same; None without a unit of two or more."""
    units = {said: number for said, number in table.items() if len(said) > 1 and number}
    return wilson(sum(number for said, number in units.items() if len(set(said)) == 1), sum(units.values()))


def cohen_kappa(table: Table, seed: int = 0) -> Estimate | None:
    """Agreement of the first and the second rating beyond chance, with a bootstrap interval over units.

    J. Cohen, Educ. Psychol. Meas. 20 (1960) 37. None without a unit of two ratings, or when chance alone agrees
    always (everybody says one and the same thing).

    >>> cohen_kappa({("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15}).value
    0.4
    """
    return _with_bootstrap(table, _kappa, seed, ordered=True)


def krippendorff_alpha(table: Table, seed: int = 0) -> Estimate | None:
    """Agreement of any number of people beyond chance, on names, with a bootstrap interval over units.

    K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011). Units that one person rated do not count.
    None without a unit of two ratings, or when everybody says one and the same thing.

    >>> krippendorff_alpha({("a", "a"): 5, ("b", "b"): 5}).value
    1.0
    """
    return _with_bootstrap(table, _alpha, seed, ordered=False)


def _with_bootstrap(
    table: Table, statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]], seed: int, *, ordered: bool
) -> Estimate | None:
    """``statistic`` of the units by pattern, and the middle 95 % of it over units that are drawn again (seeded)."""
    patterns: dict[tuple[str, ...], int] = {}
    for said, number in table.items():
        if len(said) > 1 and number:
            key = said[:2] if ordered else said
            patterns[key] = patterns.get(key, 0) + number
    kept = sorted(patterns.items())
    n = sum(number for _, number in kept)
    if not n:
        return None
    values = {value: place for place, value in enumerate(sorted({value for said, _ in kept for value in said}))}
    matrices = np.array([_matrix(said, values, ordered=ordered) for said, _ in kept])
    counts = np.array([number for _, number in kept], dtype=np.float64)
    value = float(statistic(np.tensordot(counts, matrices, axes=1)))
    if not isfinite(value):
        return None
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=_RESAMPLES).astype(np.float64)
    found = statistic(np.tensordot(drawn, matrices, axes=1))
    # A draw in which everybody says the same has no value; it is no evidence of either end.
    found = found[np.isfinite(found)]
    if n < 2 or not len(found):
        return Estimate(value, None, None, n)
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(value, float(min(low, value)), float(max(high, value)), n)


def _matrix(said: Sequence[str], values: Mapping[str, int], *, ordered: bool) -> NDArray[np.float64]:
    """A unit's part of the table: (first, second) for kappa, its coincidences for alpha (step B of the paper)."""
    matrix = np.zeros((len(values), len(values)))
    if ordered:
        matrix[values[said[0]], values[said[1]]] = 1
        return matrix
    for i, one in enumerate(said):
        for j, other in enumerate(said):
            if i != j:
                matrix[values[one], values[other]] += 1 / (len(said) - 1)
    return matrix


def _kappa(total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kappa of each table (the last two axes); not a number where chance alone agrees always."""
    n = total.sum(axis=(-2, -1))
    # One fraction of whole numbers, so that an exact answer comes out exact.
    by_chance = (total.sum(axis=-1) * total.sum(axis=-2)).sum(axis=-1)
    observed = np.trace(total, axis1=-2, axis2=-1)
    left = n * n - by_chance
    found: NDArray[np.float64] = (n * observed - by_chance) / np.where(left < _ALMOST_NOTHING, np.nan, left)
    return found


def _alpha(total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Alpha of each coincidence table (the last two axes); not a number where everybody says the same."""
    marginals = total.sum(axis=-1)
    n = marginals.sum(axis=-1)
    by_chance = n * n - (marginals * marginals).sum(axis=-1)
    observed = n - np.trace(total, axis1=-2, axis2=-1)
    found: NDArray[np.float64] = 1 - (n - 1) * observed / np.where(by_chance < _ALMOST_NOTHING, np.nan, by_chance)
    return found


def reliability_curve(bins: Iterable[tuple[int, float, int]]) -> list[Reliability]:
    """Bins of (number, mean stated confidence, number that was right) as a curve; empty bins are left out.

    A. Niculescu-Mizil and R. Caruana, ICML 2005.
    """
    curve = []
    for number, stated, right in bins:
        share = wilson(right, number)
        if share is not None:
            curve.append(Reliability(stated, share))
    return curve


def calibration_error(curve: Sequence[Reliability]) -> float | None:
    """How far stated confidence lies from the share that was right, on average over all answers (0 is perfect).

    Expected calibration error: C. Guo et al., ICML 2017, equation 3.
    """
    n = sum(each.right.n for each in curve)
    return sum(each.right.n * abs(each.right.value - each.stated) for each in curve) / n if n else None
