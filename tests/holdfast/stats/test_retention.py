"""Share of the gain kept: SciPy's t tests, the state without a gain, and honest refusals."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from holdfast.stats.retention import retention
from holdfast.stats.sides import FloatArray

ALPHA = 0.05


def losses(kept: float, gain: float = 0.7, n: int = 120) -> tuple[FloatArray, ...]:
    """Summed nats of baseline, candidate and repair, and tokens, for a repair that keeps `kept`."""
    rng = np.random.default_rng(17)
    tokens = rng.integers(20, 60, n).astype(np.float64)
    baseline = tokens * rng.normal(1.6, 0.2, n)
    candidate = baseline - tokens * rng.normal(gain, 0.15, n)
    repair = baseline - kept * (baseline - candidate) + tokens * rng.normal(0, 0.05, n)
    return baseline, candidate, repair, tokens


@pytest.mark.parametrize(("kept", "passes", "fails"), [(0.9, True, False), (0.5, False, True)])
def test_what_is_kept_is_shown(kept: float, passes: bool, fails: bool) -> None:
    answer = retention(*losses(kept), share=0.7, alpha=ALPHA)
    assert answer.gain_shown
    assert answer.n == 120
    assert answer.retained == pytest.approx(kept, abs=0.02)
    assert (answer.p_pass <= ALPHA, answer.p_fail <= ALPHA) == (passes, fails)


def test_p_values_are_scipys() -> None:
    baseline, candidate, repair, tokens = losses(0.71)
    answer = retention(baseline, candidate, repair, tokens, 0.7, ALPHA)
    surplus = (baseline - repair) - 0.7 * (baseline - candidate)
    assert answer.p_pass == pytest.approx(ttest_1samp(surplus, 0, alternative="greater").pvalue)
    assert answer.p_fail == pytest.approx(ttest_1samp(surplus, 0, alternative="less").pvalue)


@pytest.mark.parametrize("gain", [0.0, -0.5, 0.001])
def test_without_a_gain_there_is_nothing_to_keep(gain: float) -> None:
    answer = retention(*losses(0.9, gain=gain), share=0.7, alpha=ALPHA)
    assert not answer.gain_shown
    assert answer.retained is None
    assert answer.p_pass == answer.p_fail == 1.0


def test_the_ratio_of_mean_losses_is_the_share_kept() -> None:
    baseline, candidate, repair, tokens = losses(0.8)
    loss = [float(v.sum() / tokens.sum()) for v in (baseline, candidate, repair)]
    answer = retention(baseline, candidate, repair, tokens, 0.7, ALPHA)
    assert answer.retained == pytest.approx((loss[0] - loss[2]) / (loss[0] - loss[1]))


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_items_show_no_gain(n: int) -> None:
    assert not retention(*(v[:n] for v in losses(0.9)), share=0.7, alpha=ALPHA).gain_shown


def test_losses_without_any_spread_show_nothing() -> None:
    """A constant difference over 200 rows is a broken scorer, not certainty."""
    flat = np.full(200, 3.0)
    answer = retention(flat, flat - 0.1, flat - 0.1, flat, share=0.5, alpha=ALPHA)
    assert not answer.gain_shown


def test_false_passes_at_the_boundary() -> None:
    rng = np.random.default_rng(2)
    passed = 0
    for _ in range(1000):
        baseline = rng.gamma(4.0, 10.0, 100)
        candidate = baseline * rng.uniform(0.2, 0.6, 100)
        gain = baseline - candidate
        repair = baseline - 0.7 * gain + rng.normal(0, 5, 100)
        passed += retention(baseline, candidate, repair, baseline, 0.7, ALPHA).p_pass <= ALPHA
    assert passed <= 50 + 3 * np.sqrt(1000 * 0.05 * 0.95)


@pytest.mark.parametrize("damage", [np.nan, np.inf])
def test_numbers_that_are_not_losses_are_refused(damage: float) -> None:
    baseline, candidate, repair, tokens = losses(0.9)
    repair[3] = damage
    with pytest.raises(ValueError, match="finite"):
        retention(baseline, candidate, repair, tokens, 0.7, ALPHA)


def test_rows_of_different_length_are_refused() -> None:
    baseline, candidate, repair, tokens = losses(0.9)
    with pytest.raises(ValueError, match="shape"):
        retention(baseline, candidate, repair[:-1], tokens, 0.7, ALPHA)


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_items_without_a_token_are_refused(weight: float) -> None:
    baseline, candidate, repair, tokens = losses(0.9)
    tokens[0] = weight
    with pytest.raises(ValueError, match="above 0"):
        retention(baseline, candidate, repair, tokens, 0.7, ALPHA)


def test_a_gain_is_shown_at_its_own_p() -> None:
    baseline, candidate, repair, tokens = losses(0.9, gain=0.02)
    p = float(ttest_1samp(baseline - candidate, 0, alternative="greater").pvalue)
    for alpha, shown in ((p * 1.0001, True), (p * 0.9999, False)):
        answer = retention(baseline, candidate, repair, tokens, 0.7, alpha)
        assert answer.gain_shown is shown


def test_two_items_are_enough_for_a_t_test() -> None:
    pair = [np.array(row) for row in ([9.0, 9.0], [1.0, 1.1], [1.0, 1.1], [4.0, 4.0])]
    assert retention(*pair, share=0.5, alpha=ALPHA).gain_shown
