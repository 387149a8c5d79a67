"""What holds for any shop's events: each pair once, people subtractable, reasons exact, ranks within bounds."""

from collections import Counter

import numpy as np
import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st

from beckon.learning.counts import directed_counts
from beckon.learning.evaluation import leave_out, model_ranks
from beckon.learning.export import scorer_onnx
from beckon.learning.model import Histories, describe, fit, scores
from beckon.learning.recipe import Recipe
from tests.learning_shop import ITEMS, TOKENS, sequences

RECIPE = Recipe(prior=0.1, repeat=0.3, history_length=6)

visits = st.dictionaries(
    st.sampled_from(["ann", "bob", "cat", "dan"]), st.text(ITEMS, min_size=1, max_size=12), min_size=1
)


def cells(found: dict[str, str]) -> Counter:
    # The whole catalogue goes along, so that every count is over the same items.
    everything = sequences({"zz": ITEMS} | found)
    known = everything.where(everything.users < len(found))
    counted = directed_counts(known.users, known.items, len(ITEMS), RECIPE)
    return Counter(dict(zip(*(one.tolist() for one in counted), strict=True)))


@settings(deadline=None)
@given(visits)
def test_the_counts_of_all_are_the_sum_of_the_counts_of_each(found) -> None:
    alone = Counter()
    for person, seen in found.items():
        alone.update(cells({person: seen}))
    assert cells(found) == alone


@settings(deadline=None)
@given(visits, st.sampled_from(ITEMS))
def test_repeating_what_one_did_changes_no_pair_beyond_once(found, item) -> None:
    person = next(iter(found))
    looped = found | {person: found[person] + item * 20}
    once = found | {person: found[person] + item * 2}
    assert cells(looped) == cells(once)


@settings(max_examples=25, deadline=None)
@given(visits, st.text(ITEMS, max_size=6), st.integers(1, 9))
def test_the_graph_is_the_plain_scorer_and_its_reasons_are_exact(found, history, k) -> None:
    shop = sequences(found)
    model = fit(shop, describe(shop.ids, TOKENS, RECIPE), RECIPE)
    known = [model.ids.index(one) for one in history if one in model.ids] or [-1]
    weight = np.where(np.array([known]) >= 0, RECIPE.recency ** np.arange(len(known)), 0).astype(np.float32)
    feed = {
        "history": np.array([known], dtype=np.int64),
        "weight": weight,
        "need": np.zeros((1, model.content.dense.shape[1]), dtype=np.float32),
        "allow": np.ones((1, len(model.ids)), dtype=np.bool_),
        "extra": np.zeros((0, model.content.dense.shape[1]), dtype=np.float32),
        "k": np.array(k, dtype=np.int64),
    }
    items, score, _, reasons = onnxruntime.InferenceSession(scorer_onnx(model)).run(None, feed)
    own = scores(model, Histories(feed["history"], np.ones_like(weight)))
    assert items.shape == (1, min(k, len(model.ids)))
    np.testing.assert_allclose(score[0], own[0, items[0]], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(score[0], np.sort(own[0])[::-1][: len(score[0])], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(reasons.sum(axis=2), score, rtol=1e-5, atol=1e-6)


@settings(deadline=None)
@given(visits)
def test_every_targets_rank_lies_within_the_items(found) -> None:
    shop = sequences(found)
    model = fit(shop, describe(shop.ids, TOKENS, RECIPE), RECIPE)
    ranks = model_ranks(model, leave_out(shop, 0, 6), exclude_seen=False)
    assert ((ranks >= 1) & (ranks <= len(shop.ids))).all()
