"""Seeds are data: two pools without a common example, and draws that are disjoint and fair.

Shares of seats are a published example, the variance of a mean is simulated; no number here is the
code's own output.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from whydeep import datasets
from whydeep.chance import Chance
from whydeep.datasets import images, pools
from whydeep.datasets.pools import SIZES, Pool, balanced_order, draw, draw_digits, share, using
from whydeep.datasets.tasks import drawn
from whydeep.errors import BadSettings
from whydeep.evidence.reach import reach

POOLS = ("reporting", "calibration")
DRAWS = {"clothes": draw, "digits": draw_digits}
WHOLE = {"clothes": datasets.fashion_pool, "digits": datasets.digits_pool}


def rows(x) -> set[bytes]:
    """Pictures as stored, so that those of a draw can be told from those of a pool."""
    levels = 255 if x.shape[-1] == 28 else 16
    if isinstance(x, torch.Tensor):
        x = (x * levels).round().to(torch.uint8).numpy()
    return {picture.tobytes() for picture in x}


# --- the pools -------------------------------------------------------------------------------


@pytest.mark.parametrize("data", WHOLE)
def test_the_two_pools_have_no_picture_in_common_and_none_twice(data):
    reporting, calibration = (WHOLE[data](pool) for pool in POOLS)
    sizes = len(reporting), len(calibration)
    assert sizes == tuple(SIZES[data][pool] for pool in POOLS)
    assert len(rows(reporting.x) | rows(calibration.x)) == sum(sizes)


def test_the_clothes_to_calibrate_on_are_the_twelve_thousand_that_were_looked_at():
    shipped, pool = datasets.fashion_mnist(), datasets.fashion_pool("calibration")
    assert rows(pool.x) == rows(shipped.train_x) | rows(shipped.test_x)
    labels = torch.cat([shipped.train_y, shipped.test_y]).numpy()
    assert np.array_equal(pool.y, labels)


def test_classes_are_balanced_and_labels_stay_with_their_pictures():
    for pool, each in zip(POOLS, (2_400, 1_200), strict=True):
        assert np.bincount(datasets.fashion_pool(pool).y).tolist() == [each] * 10
    # The mean picture of a class is nearly the same in both: other labels would show.
    means = [
        np.stack([found.x[found.y == c].mean(0) for c in range(10)])
        for found in map(datasets.fashion_pool, POOLS)
    ]
    distance = np.abs(means[0][:, None] - means[1][None]).mean((2, 3))
    assert np.array_equal(distance.argmin(1), np.arange(10))
    assert distance.diagonal().max() < 4  # levels of 255


def test_the_digits_are_scikit_learns_split_once_with_the_classes_in_proportion():
    from sklearn.datasets import load_digits

    original = load_digits()
    label = {
        picture.astype(np.uint8).tobytes(): y
        for picture, y in zip(original.images, original.target, strict=True)
    }
    reporting, calibration = (datasets.digits_pool(pool) for pool in POOLS)
    assert rows(reporting.x) | rows(calibration.x) == set(label)
    for pool in (reporting, calibration):
        assert [label[picture.tobytes()] for picture in pool.x] == pool.y.tolist()
    shares = 597 * np.bincount(original.target) / 1797
    assert np.all(np.abs(np.bincount(calibration.y) - shares) < 1)
    assert rows(datasets.digits_pool("calibration").x) == rows(calibration.x)


# --- which pool a run draws from -------------------------------------------------------------


@pytest.mark.parametrize("data", DRAWS)
def test_a_run_draws_from_the_reporting_pool_unless_it_is_a_calibration(data):
    reporting, calibration = (rows(WHOLE[data](pool).x) for pool in POOLS)

    def seen() -> set[bytes]:
        found = DRAWS[data](90, 60, chance=Chance(2))
        return rows(found.train_x) | rows(found.test_x)

    assert seen() <= reporting
    with using("calibration"):
        assert seen() <= calibration
        with using("reporting"):
            assert seen() <= reporting
        assert seen() <= calibration
    assert pools.current() == "reporting"


def test_a_run_that_breaks_off_leaves_no_pool_behind():
    with pytest.raises(RuntimeError), using("calibration"):
        raise RuntimeError
    assert pools.current() == "reporting"


def test_an_unknown_pool_is_named():
    for ask in (using("test").__enter__, lambda: share(1, pool="test")):
        with pytest.raises(ValueError, match="pool is 'test', expected 'reporting' or"):
            ask()
    for whole in WHOLE.values():
        with pytest.raises(ValueError, match="pool is 'test'"):
            whole("test")


def test_what_a_draw_rests_on_is_reached_from_a_run_that_draws():
    found = reach("whydeep.datasets.tasks", ("drawn",))
    assert found.data == {"fashion-pool", "fashion-mnist", "digits"}
    assert {
        ("whydeep.datasets.pools", name) for name in ("current", "balanced_order", "PLACE", "SIZES")
    } <= found.where
    assert not any("pools" in module for module, _ in reach(images.__name__, ("digits",)).where)


# --- draws -----------------------------------------------------------------------------------


@pytest.mark.parametrize("data", DRAWS)
@pytest.mark.parametrize("pool", POOLS)
def test_training_and_test_examples_of_a_seed_are_disjoint_up_to_the_whole_pool(data, pool):
    size, whole = SIZES[data][pool], WHOLE[data](pool)
    for n, m in ((size // 2, size - size // 2), (size // 10, size // 20), (size, 0)):
        found = whole.draw(n, m, chance=Chance(0))
        assert (len(found.train_x), len(found.test_x)) == (n, m)
        assert len(rows(found.train_x) | rows(found.test_x)) == n + m


@pytest.mark.parametrize("data", DRAWS)
def test_a_smaller_draw_lies_within_a_larger_one_and_neither_part_depends_on_the_other(data):
    small, large = (DRAWS[data](*sizes, chance=Chance(3)) for sizes in ((95, 41), (203, 120)))
    assert rows(small.train_x) < rows(large.train_x)
    assert rows(small.test_x) < rows(large.test_x)
    mixed = DRAWS[data](95, 120, chance=Chance(3))
    assert torch.equal(mixed.train_x, small.train_x)
    assert torch.equal(mixed.test_x, large.test_x)
    assert torch.equal(mixed.train_y, small.train_y)
    assert torch.equal(mixed.test_y, large.test_y)


@pytest.mark.parametrize("data", DRAWS)
def test_a_draw_keeps_each_label_with_its_picture_and_its_values_in_unit_range(data):
    whole = WHOLE[data]("reporting")
    label = {picture.tobytes(): int(y) for picture, y in zip(whole.x, whole.y, strict=True)}
    found = DRAWS[data](60, 30, chance=Chance(1))
    levels = whole.levels
    for x, y in ((found.train_x, found.train_y), (found.test_x, found.test_y)):
        stored = (x * levels).round().to(torch.uint8).numpy()
        assert [label[picture.tobytes()] for picture in stored] == y.tolist()
        assert (x.min(), x.max()) == (0, 1)
        assert x.dtype == torch.float32


def test_seeds_and_members_draw_other_examples_and_a_seed_the_same_again():
    chances = [Chance(0), Chance(1), *Chance(0).members(2)]
    tested = [rows(draw_digits(10, 100, chance=chance).test_x) for chance in chances]
    assert rows(draw_digits(10, 100, chance=Chance(0)).test_x) == tested[0]
    for i, one in enumerate(tested):
        for other in tested[:i]:
            # 100 of 1,200 twice: 8.3 in common on average, standard deviation 2.6.
            assert len(one & other) < 22


@pytest.mark.parametrize("data", DRAWS)
def test_classes_are_in_proportion_in_both_parts(data):
    counts = np.bincount(WHOLE[data]("reporting").y)
    for n, m in ((100, 50), (105, 7), (777, 333)):
        found = DRAWS[data](n, m, chance=Chance(5))
        for y in (found.train_y, found.test_y):
            shares = len(y) * counts / counts.sum()
            assert np.all(np.abs(np.bincount(y, minlength=10) - shares) < 1)


@pytest.mark.parametrize(("n", "m"), [(0, 5), (-1, 5), (5, -1), (1_201, 0), (1_000, 201)])
def test_a_draw_that_cannot_be_had_is_one_clear_line(n, m):
    with pytest.raises(BadSettings, match=r"from the 1,200 of Digits 8x8, reporting pool") as error:
        draw_digits(n, m, chance=Chance(0))
    assert f"{n:,} training and {m:,} test" in str(error.value)


# --- the order behind them -------------------------------------------------------------------


def test_seats_are_shared_out_as_in_the_textbook_example_of_webster():
    # 53, 24 and 23 votes for 7 seats: 3, 2, 2 (largest remainders would give 4, 2, 1).
    labels = np.repeat([0, 1, 2], [53, 24, 23])
    order = balanced_order(labels, Chance(0).numpy())
    assert np.bincount(labels[order[:7]]).tolist() == [3, 2, 2]
    assert np.bincount(labels[order[-7:]]).tolist() == [3, 2, 2]


@given(seed=st.integers(0, 2**32), counts=st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_every_example_stands_in_the_order_once(seed, counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    order = balanced_order(labels, np.random.default_rng(seed))
    assert np.array_equal(np.sort(order), np.arange(len(labels)))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("data", WHOLE)
def test_every_beginning_and_end_of_the_order_has_the_classes_within_one_of_their_share(data, pool):
    labels = WHOLE[data](pool).y
    order = balanced_order(labels, Chance(7).numpy())
    shares = np.bincount(labels) / len(labels)
    sizes = np.arange(1, len(labels) + 1)[:, None]
    for along in (order, order[::-1]):
        counts = np.cumsum(labels[along][:, None] == np.arange(10), axis=0)
        assert np.abs(counts - sizes * shares).max() <= 1


def test_every_example_is_as_likely_to_be_drawn_as_any_other():
    labels, draws, m = np.repeat(np.arange(10), 12), 2_000, 27
    times = np.zeros(len(labels))
    for seed in range(draws):
        times[balanced_order(labels, np.random.default_rng(seed))[:m]] += 1
    p = m / len(labels)
    # The largest of 120 standard normal numbers exceeds 4.5 once in a thousand times.
    assert np.abs(times - draws * p).max() < 4.5 * np.sqrt(draws * p * (1 - p))


# --- a task ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "side"), [("clothes", 14), ("digits", 8)])
def test_a_task_is_the_draw_standardised_by_its_training_images(data, side):
    task = drawn(200, 50, chance=Chance(4), data=data)
    assert task.x.shape == (200, 1, side, side)
    assert task.x_test.shape == (50, 1, side, side)
    assert task.x.mean().item() == pytest.approx(0, abs=1e-5)
    assert task.x.std().item() == pytest.approx(1, abs=1e-5)
    found = DRAWS[data](200, 50, chance=Chance(4))
    by_hand = found.train_x.double().numpy(), found.test_x.double().numpy()
    if data == "clothes":
        by_hand = [x.reshape(-1, 1, 14, 2, 14, 2).mean((3, 5)) for x in by_hand]
    expected = (by_hand[1] - by_hand[0].mean()) / by_hand[0].std(ddof=1)
    assert task.x_test.numpy() == pytest.approx(expected, abs=1e-5)
    assert torch.equal(task.y, found.train_y)
    assert torch.equal(task.y_test, found.test_y)


def test_a_task_of_unknown_data_is_one_clear_line():
    with pytest.raises(BadSettings, match="data is 'mnist', expected 'clothes' or 'digits'"):
        drawn(10, 10, chance=Chance(0), data="mnist")


# --- what overlapping draws cost -------------------------------------------------------------


def test_the_share_is_that_of_the_pool():
    assert share(2_400) == 0.1
    assert share(2_400, pool="calibration") == 0.2
    assert share(600, "digits") == 0.5
    for m in (-1, 1_200):
        with pytest.raises(BadSettings, match="expected 0 to 1,199"):
            share(m, "digits")


SEEDS, REPEATS = 5, 4_000


def simulated(m: int, own: float, rng: np.random.Generator) -> tuple[float, float]:
    """The variance of the mean of five seeds over fresh pools, and the mean of s^2.

    One example's result is 0 or 1 (an error of 0.15); each seed averages m of the 1,200, and has
    something for itself, of standard deviation ``own``.
    """
    means, s2 = np.empty(REPEATS), np.empty(REPEATS)
    for i in range(REPEATS):
        wrong = rng.random(SIZES["digits"]["reporting"], dtype=np.float32) < 0.15
        seeds = np.array([rng.permutation(wrong)[:m].mean() for _ in range(SEEDS)])
        seeds += own * rng.standard_normal(SEEDS)
        means[i], s2[i] = seeds.mean(), seeds.var(ddof=1)
    return ((means - 0.15) ** 2).mean(), s2.mean()


@pytest.mark.parametrize("m", [120, 600])
def test_the_variance_of_a_mean_over_overlapping_draws_is_as_stated(m):
    f = share(m, "digits")
    variance, s2 = simulated(m, 0.0, np.random.default_rng(0))
    # A variance of 4,000 numbers has a standard error of sqrt(2 / 4,000) = 2.2 %.
    assert variance == pytest.approx(s2 * (1 / SEEDS + f / (1 - f)), rel=0.09)
    assert variance > 1.4 * s2 / SEEDS  # what independent seeds would have


def test_what_a_seed_has_for_itself_makes_the_statement_too_large_and_never_too_small():
    f = share(600, "digits")
    variance, s2 = simulated(600, 0.02, np.random.default_rng(1))
    assert 1.09 * variance < s2 * (1 / SEEDS + f / (1 - f))
    assert variance > s2 / SEEDS


def test_the_sum_of_both_shares_is_safe_where_hard_examples_also_do_harm():
    # Each example adds to the error when it is tested on, and as much when it is trained on: then
    # the larger share alone is too small. 30 and 30 of 100 examples.
    rng, part = np.random.default_rng(2), 30
    means, s2 = np.empty(REPEATS), np.empty(REPEATS)
    for i in range(REPEATS):
        hard = rng.standard_normal(100)
        orders = [rng.permutation(hard) for _ in range(SEEDS)]
        seeds = np.array([order[:part].mean() + order[-part:].mean() for order in orders])
        means[i], s2[i] = seeds.mean(), seeds.var(ddof=1)
    larger, both = part / 100, 2 * part / 100
    variance = (means**2).mean()
    assert variance > 1.2 * s2.mean() * (1 / SEEDS + larger / (1 - larger))
    assert variance == pytest.approx(s2.mean() * (1 / SEEDS + both / (1 - both)), rel=0.09)


def test_a_pool_knows_its_size():
    pool = Pool("two", ("a", "b"), 1, np.zeros((2, 1, 1), np.uint8), np.arange(2, dtype=np.uint8))
    assert len(pool) == 2
    assert pool.draw(1, 1, chance=Chance(0)).train_x.shape == (1, 1, 1, 1)
