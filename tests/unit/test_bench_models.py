"""The benchmark's own models: gradients against finite differences, and an optimiser against its plain form."""

import numpy as np
import pytest

from infra.bench.learning import dmf, neumf, two_tower
from infra.bench.learning.adam import BETA_1, BETA_2, EPSILON, Adam, SparseAdam, summed
from infra.bench.learning.baseline import tune
from infra.bench.learning.ranking import gain, ranks
from infra.bench.learning.sampling import pairs
from infra.bench.learning.task import Task

LABELS = np.array([1, 0, 1, 1, 0, 0, 1], dtype=np.float64)


def slopes(loss, array, step=1e-6):
    """The loss's slope by each number of an array, by moving it a little both ways."""
    found = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        kept = array[place]
        array[place] = kept + step
        above = loss()
        array[place] = kept - step
        found[place] = (above - loss()) / (2 * step)
        array[place] = kept
    return found


def same(gradients, loss, arrays):
    for gradient, array in zip(gradients, arrays, strict=True):
        assert np.abs(gradient).max() > 1e-4
        np.testing.assert_allclose(gradient, slopes(loss, array), rtol=1e-4, atol=1e-8)


def test_the_two_towers_gradients_are_the_losss_slopes() -> None:
    rng = np.random.default_rng(1)
    user, item, dense = rng.normal(size=(7, 5)), rng.normal(size=(7, 5)), np.array([1.3, -0.4])

    def loss():
        return two_tower.loss_and_gradients(user, item, dense, LABELS)[0]

    same(two_tower.loss_and_gradients(user, item, dense, LABELS)[1:], loss, (user, item, dense))
    u, v = user[0] / np.linalg.norm(user[0]), item[0] / np.linalg.norm(item[0])
    one = two_tower.loss_and_gradients(user[:1], item[:1], dense, LABELS[:1])[0]
    assert one == pytest.approx(-np.log(1 / (1 + np.exp(-(1.3 * (u @ v) - 0.4)))))


def test_neumfs_gradients_are_the_losss_slopes() -> None:
    rng = np.random.default_rng(2)
    factors = 3
    layers = [one.astype(np.float64) + rng.normal(0, 0.1, one.shape) for one in neumf.start(factors, rng)]
    user, item = rng.normal(size=(7, 9)), rng.normal(size=(7, 9))

    def loss():
        return neumf.loss_and_gradients(user, item, layers, LABELS)[0]

    _, to_user, to_item, to_layers = neumf.loss_and_gradients(user, item, layers, LABELS)
    same((to_user, to_item, *to_layers), loss, (user, item, *layers))


def test_neumf_ranks_by_the_logit_it_was_trained_on() -> None:
    rng = np.random.default_rng(3)
    layers = [one.astype(np.float64) for one in neumf.start(2, rng)]
    user, item = rng.normal(size=(4, 6)), rng.normal(size=(5, 6))
    found = neumf.all_logits(user, item, layers)
    for u in range(4):
        for i in range(5):
            as_positive = neumf.loss_and_gradients(user[u : u + 1], item[i : i + 1], layers, np.ones(1))[0]
            assert -np.log(1 / (1 + np.exp(-found[u, i]))) == pytest.approx(as_positive)


def test_dmfs_gradients_are_the_losss_slopes() -> None:
    rng = np.random.default_rng(4)
    layers = [[rng.normal(size=(6, 5)), rng.normal(0.3, 0.1, 5)] for _ in range(2)]
    user, item = rng.normal(size=(7, 6)), rng.normal(size=(7, 6))

    def loss():
        return dmf.loss_and_gradients(user, item, layers, LABELS)[0]

    _, to_user, to_item, to_layers = dmf.loss_and_gradients(user, item, layers, LABELS)
    same((to_user, to_item, *to_layers[0], *to_layers[1]), loss, (user, item, *layers[0], *layers[1]))


def test_a_bag_adds_up_the_rows_of_its_members() -> None:
    bags = dmf.Bags.of(np.array([2, 0, 2, 2, 0]), np.array([1, 3, 0, 1, 3]), 4, 5)
    table = np.arange(10, dtype=np.float64).reshape(5, 2) ** 2
    place, members = bags.cells(np.array([2, 1, 0]))
    expected = [table[0] + table[1], np.zeros(2), table[3]]
    np.testing.assert_array_equal(dmf.bag_sums(table[members], place, 3), expected)


def test_adam_on_the_rows_that_are_touched_is_adam_on_the_whole_table() -> None:
    rng = np.random.default_rng(5)
    begin = rng.normal(size=(6, 3)).astype(np.float32)
    lazy, whole = SparseAdam(begin.copy(), 0.01, 400), begin.astype(np.float64)
    m, v = np.zeros_like(whole), np.zeros_like(whole)
    dense = begin.astype(np.float64)
    plain = Adam([dense], 0.01)
    for t in range(1, 401):
        rows = np.array([0, 2, 2, 5] if t % 90 == 0 else [1, 2, 1, 4])
        gradients = rng.normal(size=(4, 3)).astype(np.float32)
        lazy.rows(rows)
        lazy.step(*summed(rows, gradients))
        g = np.zeros_like(whole)
        np.add.at(g, rows, gradients)
        m, v = BETA_1 * m + (1 - BETA_1) * g, BETA_2 * v + (1 - BETA_2) * g * g
        whole -= 0.01 * np.sqrt(1 - BETA_2**t) / (1 - BETA_1**t) * m / (np.sqrt(v) + EPSILON)
        plain.step([g])
    np.testing.assert_allclose(dense, whole, rtol=1e-9)
    np.testing.assert_allclose(lazy.whole(), whole, atol=2e-5)
    assert np.abs(whole[[0, 5]] - begin[[0, 5]]).min() > 0.001
    np.testing.assert_array_equal(lazy.whole()[3], begin[3])


@pytest.fixture
def task():
    """Four people and five items: 0 takes 0, 1, 2; 1 takes 3, 1; 2 takes 4, 0, 1, 2; 3 takes 2."""
    users = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
    items = np.array([0, 1, 2, 3, 1, 4, 0, 1, 2, 2])
    fitted = np.array([1, 1, 0, 1, 0, 1, 1, 1, 0, 1], dtype=bool)
    starts = np.zeros(6, dtype=np.int64)
    return Task(users, items, fitted, fitted, np.array([1, 4]), np.array([2, 4, 8]), starts, starts[:0], True)


def test_ranks_are_among_all_unseen_items_and_ties_count_against_the_model(task) -> None:
    scores = np.array([[9, 9, 5, 5, 1], [1, 2, 3, 8, 2], [1, 2, 0, 3, 4]], dtype=np.float32)
    assert ranks(task, lambda places: scores[: len(places)], task.test).tolist() == [2, 3, 2]
    assert gain(np.array([2, 3, 0, 11])) == pytest.approx((1 / np.log2(3) + 1 / 2) / 4)


def test_histories_are_newest_first_and_drawn_negatives_were_not_met(task) -> None:
    assert task.histories(task.test, 3).tolist() == [[1, 0, -1], [3, -1, -1], [1, 0, 4]]
    users, items, labels = pairs(task, task.fitted_on, 40, np.random.default_rng(6))
    met = set(zip(task.users[task.fitted_on].tolist(), task.items[task.fitted_on].tolist(), strict=True))
    drawn = [
        pair for pair, label in zip(zip(users.tolist(), items.tolist(), strict=True), labels, strict=True) if not label
    ]
    assert len(drawn) == 40 * 7
    assert sum(pair in met for pair in drawn) < len(drawn) * 0.12  # without drawing again it were 3 in 8


def test_tuning_keeps_the_best_epoch_of_the_best_trial_and_stops_when_the_time_is_spent(task) -> None:
    quality = {"a": [1, 3, 2, 2, 2, 2], "b": [4, 0, 0, 0, 0], "c": [5]}
    now = iter(range(1000))

    def epochs(_task, _mask, setting, _rng):
        for good in quality[setting["name"]]:
            yield lambda places, good=good: np.where(
                np.arange(5) == task.items[places][:, None], good / 10, 0.25 if good < 5 else 0
            )

    settings = [{"name": name} for name in "abc"]
    found = tune(epochs, task, settings, 10_000, lambda: float(next(now)))
    assert (found.settings["name"], found.epochs) == ("a", 2)
    assert [trial["epochs_run"] for trial in found.trials] == [5, 4, 1]
    late = tune(epochs, task, settings, 0.5, lambda: float(next(now)))
    assert [trial["name"] for trial in late.trials] == ["a"]
