"""Every member of the ensemble under one contract, and each against an oracle that shares no algebra with it."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from beckon.learning.content import content_of
from beckon.learning.export import scorer_onnx
from beckon.learning.members import ridge as ridge_module
from beckon.learning.members.contract import Known
from beckon.learning.members.ensemble import BLENDED, MEMBERS, blended_rows
from beckon.learning.model import Histories, Model, describe, fit_known, scores
from beckon.learning.recipe import Recipe
from beckon.learning.sparse import SparseRows
from tests.learning_shop import TOKENS, VISITS, Oracle, sequences

RECIPE = Recipe(penalty=2.0, rank=3, recency=0.6, taste=0.5, prior=0.2)
PEOPLE = sorted(VISITS)
each_member = pytest.mark.parametrize("name", sorted(MEMBERS))


def known_of(visits=VISITS) -> Known:
    found = sequences(visits)
    return Known.of(found, describe(found.ids, TOKENS, RECIPE), RECIPE.user_events)


def full(rows: SparseRows) -> np.ndarray:
    out = np.zeros((len(rows.starts) - 1, rows.width))
    out[rows.row_of_cell(), rows.columns] = rows.values
    return out


def met_by(items) -> np.ndarray:
    return np.array([[float(item in VISITS[person]) for item in items] for person in PEOPLE])


def followed(items) -> np.ndarray:
    """C in loops: the oracle's own counts, both directions."""
    oracle = Oracle(VISITS, TOKENS, replace(RECIPE, source_power=0.0, target_power=0.0), 1.0)
    return np.array([[oracle.neighbour(i, j) for j in items] for i in items])


def alone(name: str, known: Known) -> Model:
    """A model that has nothing but one member's tables, as they are."""
    tables = MEMBERS[name](known, RECIPE)
    nothing = np.empty(0, dtype=np.int64)
    ids, n_items = known.seen.ids, len(known.seen.ids)
    rows = tables.rows or SparseRows.from_cells(nothing, nothing, nothing, (n_items, n_items))
    content = known.content if tables.tokens is not None else content_of(ids, {}, 1)
    trend = np.zeros(n_items, dtype=np.float32) if tables.prior is None else tables.prior
    return Model(ids, rows, content, trend, 1.0, replace(RECIPE, content=1.0, prior=1.0))


# ── the contract ─────────────────────────────────────────────────────────────
@each_member
def test_tables_cover_all_items_with_finite_numbers_in_order(name) -> None:
    known = known_of()
    tables = MEMBERS[name](known, RECIPE)
    n_items = len(known.seen.ids)
    assert any(one is not None for one in (tables.rows, tables.tokens, tables.prior))
    for rows in (tables.rows, tables.tokens):
        if rows is not None:
            assert len(rows.starts) == n_items + 1
            assert np.isfinite(rows.values).all()
            assert (np.diff(rows.row_of_cell() * rows.width + rows.columns) > 0).all()
    for table in (tables.prior, tables.dense):
        assert table is None or (len(table) == n_items and np.isfinite(table).all())


@each_member
def test_a_member_scores_by_the_contracts_equation_and_exports_as_it_scores(name) -> None:
    known = known_of()
    tables, model = MEMBERS[name](known, RECIPE), alone(name, known)
    history = [model.ids.index(one) for one in "dace"]  # newest first
    weights = RECIPE.recency ** np.arange(4)
    wanted = np.zeros(8)
    if tables.rows is not None:
        wanted += weights @ full(tables.rows)[history]
    if tables.tokens is not None:
        tokens = full(tables.tokens)
        wanted += weights**RECIPE.taste @ (tokens[history] @ tokens.T)
    if tables.prior is not None:
        wanted += tables.prior
    assert np.ptp(wanted) > 0
    plain = scores(model, Histories(np.array([history]), np.ones((1, 4), np.float32)))[0]
    np.testing.assert_allclose(plain, wanted, rtol=1e-5, atol=1e-6)
    dense = model.content.dense.shape[1]
    feed = {
        "history": np.array([history]),
        "weight": weights[None].astype(np.float32),
        "need": np.zeros((1, dense), np.float32),
        "allow": np.ones((1, 8), np.bool_),
        "extra": np.zeros((0, dense), np.float32),
        "k": np.array(8),
    }
    items, score, _, reasons = onnxruntime.InferenceSession(scorer_onnx(model)).run(None, feed)
    np.testing.assert_allclose(score[0], wanted[items[0]], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(reasons.sum(axis=2), score, rtol=1e-5, atol=1e-6)


@each_member
def test_the_same_events_give_the_same_tables_whatever_was_fitted_before(name) -> None:
    used = known_of()
    for member in MEMBERS.values():
        member(used, replace(RECIPE, pair_decay=0.5, backward=0.9))
    fresh, again = (MEMBERS[name](known, RECIPE) for known in (known_of(), used))
    for one, other in ((fresh.rows, again.rows), (fresh.tokens, again.tokens)):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            np.testing.assert_array_equal(full(one), full(other))
    for first, second in ((fresh.prior, again.prior), (fresh.dense, again.dense)):
        np.testing.assert_array_equal(first, second)


@each_member
@pytest.mark.parametrize("visits", [{"ann": ""}, {"ann": "a"}, {"ann": "aaa"}, {"ann": "ab"}])
def test_the_smallest_shops_have_tables_too(name, visits) -> None:
    known = known_of(visits)
    model = alone(name, known)
    found = scores(model, Histories(np.array([[0]]), np.ones((1, 1), np.float32)))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", BLENDED)
def test_items_that_nobody_met_are_in_nobodys_rows(name) -> None:
    known = known_of()
    rows = full(MEMBERS[name](known, RECIPE).rows)
    h = known.seen.ids.index("h")
    assert not rows[h].any()
    assert not rows[:, h].any()


# ── the oracles ──────────────────────────────────────────────────────────────
def test_cosine_is_the_cosine_of_who_met_what() -> None:
    known = known_of()
    met = met_by(known.seen.ids)
    lengths = np.maximum(np.sqrt((met**2).sum(axis=0)), 1e-9)
    wanted = np.array([[(met[:, i] @ met[:, j]) / (lengths[i] * lengths[j]) for j in range(8)] for i in range(8)])
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(full(MEMBERS["cosine"](known, RECIPE).rows), wanted, atol=1e-6)


def test_directed_rows_are_damped_counts_of_who_followed_whom() -> None:
    known = known_of()
    people = np.maximum(met_by(known.seen.ids).sum(axis=0), 0.5)
    wanted = followed(known.seen.ids) / people[:, None] ** RECIPE.source_power / people**RECIPE.target_power
    np.testing.assert_allclose(full(MEMBERS["directed"](known, RECIPE).rows), wanted, rtol=1e-5, atol=1e-6)
    assert not np.allclose(wanted, wanted.T)


def test_ridge_solves_the_penalised_least_squares() -> None:
    known = known_of()
    met = met_by(known.seen.ids)
    people = met.sum(axis=0)
    wanted = np.zeros((8, 8))
    warm = np.flatnonzero(people)
    # Column by column by descent, so that no solver is shared.
    gram = met[:, warm].T @ met[:, warm] + RECIPE.penalty * np.diag(people[warm] ** RECIPE.penalty_power)
    target = followed(known.seen.ids)[np.ix_(warm, warm)]
    found = np.zeros_like(target)
    for _ in range(3_000):
        found += 0.9 / np.linalg.norm(gram, 2) * (target - gram @ found)
    wanted[np.ix_(warm, warm)] = found
    np.testing.assert_allclose(full(MEMBERS["ridge"](known, RECIPE).rows), wanted, rtol=1e-4, atol=1e-5)
    assert (wanted < -0.01).any()  # what is explained otherwise speaks against


def test_ridge_rows_are_truncated_by_size_alone(monkeypatch) -> None:
    known = known_of()
    whole = full(MEMBERS["ridge"](known, RECIPE).rows)
    monkeypatch.setattr(ridge_module, "MOST_CELLS", 7 * 3)  # of seven items that were met
    cut = full(MEMBERS["ridge"](known, RECIPE).rows)
    for before, after in zip(whole, cut, strict=True):
        kept = np.flatnonzero(after)
        assert len(kept) <= 3
        np.testing.assert_array_equal(after[kept], before[kept])
        assert np.abs(np.delete(before, kept)).max() <= np.abs(after[kept]).min(initial=np.inf)


def test_a_catalogue_too_large_to_solve_for_leaves_ridges_share_to_the_others(monkeypatch) -> None:
    known = known_of()
    plain = full(blended_rows(known, RECIPE))
    monkeypatch.setattr(ridge_module, "MOST_ITEMS", 6)
    for share in (0.5, 1.0):
        np.testing.assert_array_equal(full(blended_rows(known, replace(RECIPE, ridge=share))), plain)


def test_low_rank_embeddings_are_the_leading_directions_of_the_cosines() -> None:
    known = known_of()
    tables = MEMBERS["low_rank"](known, RECIPE)
    met = met_by(known.seen.ids)
    unit = met / np.maximum(np.linalg.norm(met, axis=0), 1e-9)
    u, strengths, _ = np.linalg.svd(unit.T)  # items × people: cosines are its squares
    best = u[:, :3] * strengths[:3]
    warm = np.linalg.norm(best, axis=1) > 1e-6
    assert sorted(np.flatnonzero(~warm)) == [known.seen.ids.index(one) for one in "fh"]  # apart from the rest; unmet
    assert not tables.dense[~warm].any()
    best[warm] /= np.linalg.norm(best[warm], axis=1, keepdims=True)
    wanted = best[warm] @ best[warm].T
    np.testing.assert_allclose(tables.dense[warm] @ tables.dense[warm].T, wanted, atol=1e-3)
    np.fill_diagonal(wanted, 0)
    rows = full(tables.rows)[np.ix_(warm, warm)]
    np.testing.assert_allclose(rows, np.maximum(wanted, 0), atol=1e-3)


def test_attributes_are_idf_weighted_unit_rows() -> None:
    known = known_of()
    oracle = Oracle(VISITS, TOKENS, RECIPE, 1.0)
    tokens = full(MEMBERS["attributes"](known, RECIPE).tokens)
    wanted = [[oracle.alike(i, j) for j in known.seen.ids] for i in known.seen.ids]
    np.testing.assert_allclose(tokens @ tokens.T, wanted, atol=1e-6)


def test_trending_halves_what_a_person_said_with_each_half_life() -> None:
    recipe = replace(RECIPE, trend_half_life_ms=60_000)  # one step of the fixture
    known = known_of()
    found = MEMBERS["trending"](known, recipe).prior
    newest = max(len(seen) - 1 + len(person) / 60_000 for person, seen in VISITS.items())
    wanted = np.array(
        [
            sum(0.5 ** (newest - VISITS[p].rindex(i) - len(p) / 60_000) for p in PEOPLE if i in VISITS[p])
            for i in known.seen.ids
        ]
    )
    np.testing.assert_allclose(found, wanted / wanted.max(), rtol=1e-5)


# ── together ─────────────────────────────────────────────────────────────────
def test_members_are_blended_on_the_scale_of_the_first() -> None:
    known = known_of()
    one, other = (fit_known(known, replace(RECIPE, cosine=share)) for share in (0.0, 1.0))
    both = fit_known(known, replace(RECIPE, cosine=0.25))
    wanted = 0.75 * full(one.rows) + 0.25 * one.scale / other.scale * full(other.rows)
    np.testing.assert_allclose(full(both.rows), wanted, rtol=1e-5, atol=1e-7)
