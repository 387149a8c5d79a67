from concurrent.futures import ThreadPoolExecutor

import orjson
from hypothesis import given
from hypothesis import strategies as st

from beckon.aws.http import parse
from beckon.ranking.model import Request
from beckon.ranking.models import Models
from beckon.ranking.rank import rank
from beckon.ranking.service import Recommending
from beckon.ranking.wire import RecommendationBody
from beckon.values import Refused
from tests.ranking_shop import (
    IDS,
    NOW,
    SERVING,
    SHOP,
    AtOnce,
    FakeCatalogue,
    FakeExposures,
    FakeHistory,
    FakeModels,
    NumpyScorer,
    assortment,
    changed,
    deleted,
    event,
    point,
    write_model,
)

STRANGE = ("sofa", "lamp", "clog", "sandal")
items = st.sampled_from(IDS + STRANGE)
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
surfaces = st.sampled_from(["home", "similar", "cart", "rerank", "trending"])
bodies = st.fixed_dictionaries(
    {},
    optional={
        "user": json | items,
        "user_token": json,
        "anonymous_id": json | items,
        "surface": surfaces | json,
        "item": items | json,
        "items": st.lists(items, max_size=6) | json,
        "k": st.integers(-1, 102) | json,
        "exclude": st.lists(items, max_size=6) | json,
        "need": json,
    },
)

histories = st.lists(
    st.builds(event, items, st.sampled_from(["view", "click", "cart", "purchase", "search"]), st.integers(0, 10_000)),
    max_size=12,
)
changes = st.lists(
    st.builds(deleted, items, st.integers(1, 500))
    | st.builds(
        changed,
        items,
        st.integers(1, 500),
        available=st.booleans(),
        parent_id=st.none() | items,
        categories=st.lists(st.sampled_from(["head", "feet", "house"]), max_size=3).map(tuple),
    ),
    max_size=12,
)


@st.composite
def requests(draw) -> Request:
    surface = draw(surfaces)
    return Request(
        surface,
        draw(st.integers(1, 100)),
        draw(items) if surface == "similar" else None,
        tuple(draw(st.lists(items, min_size=1, unique=True))) if surface in ("cart", "rerank") else (),
        draw(st.frozensets(items, max_size=3)),
    )


@given(bodies)
def test_any_json_is_served_or_refused_by_name(body: dict) -> None:
    store = FakeModels()
    write_model(store, "m1")
    point(store, "m1")
    models = Models(store, lambda _: NumpyScorer(), AtOnce(), 10**9)
    service = Recommending(
        models, FakeHistory(event("cap")), FakeCatalogue(), FakeExposures(), 10**10, ThreadPoolExecutor(1)
    )
    try:
        request = parse(RecommendationBody, body).request()
    except Refused as refused:
        assert (refused.code, bool(refused.detail)) == ("invalid-request", True)  # noqa: PT017  # or it is served
        return
    served = service.recommend(SHOP, ("ann",), request, "r1", NOW)
    assert orjson.loads(orjson.dumps(served.to_record()))["rec_id"] == "r1"


@given(requests(), histories, changes)
def test_a_list_keeps_its_promises_whatever_the_history_and_the_catalogue(request, history, made) -> None:
    stock = assortment().after(made)
    ranking = rank(request, history, SERVING, stock, NumpyScorer())
    shown = [one.id for one in ranking.items]
    assert len(shown) == len(set(shown)) <= request.k
    assert not set(shown) & request.exclude
    for one in ranking.items:
        assert abs(sum(reason.part for reason in one.reasons) - one.score) < 1e-5
    if request.surface == "rerank":
        assert set(shown) <= set(request.items)
        assert len(shown) == min(request.k, len(set(request.items) - request.exclude))
    else:
        scores = [one.score for one in ranking.items]
        assert scores == sorted(scores, reverse=True)
        latest = {c.item_id: c.item for c in sorted(made, key=lambda c: c.ts)}
        ambiguous = {c.item_id for c in made if sum((o.item_id, o.ts) == (c.item_id, c.ts) for o in made) > 1}
        for item in set(shown) - ambiguous:
            assert item in IDS or item in latest
            assert item not in latest or (latest[item] is not None and latest[item].available)
        parents = [(latest[i].parent_id or i) if i in latest and i not in ambiguous else i for i in shown]
        assert ambiguous or len(parents) == len(set(parents))


@given(changes, st.randoms(use_true_random=False))
def test_the_order_in_which_changes_arrive_does_not_matter(made, random) -> None:
    distinct = list({(c.item_id, c.ts): c for c in made}.values())
    shuffled = random.sample(distinct, len(distinct))
    cut = random.randint(0, len(shuffled))
    one, other = assortment().after(distinct), assortment().after(shuffled[:cut]).after(shuffled)
    request = Request("home", 100)
    assert {(r.id, r.score) for r in rank(request, [], SERVING, one, NumpyScorer()).items} == {
        (r.id, r.score) for r in rank(request, [], SERVING, other, NumpyScorer()).items
    }
