import math
from dataclasses import replace

import pytest

from beckon.ranking.model import Ranking, Request
from beckon.ranking.rank import NOTHING_LEFT, history_types, rank
from tests.ranking_shop import SERVING, TREND, NumpyScorer, assortment, changed, deleted, event


def asked(surface="home", *history, k=10, items=(), item=None, exclude=(), stock=None, serving=SERVING) -> Ranking:
    request = Request(surface, k, item, tuple(items), frozenset(exclude))
    return rank(request, list(history), serving, stock or assortment(), NumpyScorer())


def names(ranking: Ranking) -> list[str]:
    return [one.id for one in ranking.items]


def test_a_stranger_sees_what_trends() -> None:
    ranking = asked()
    assert names(ranking) == TREND
    assert ranking.policy == "trending"
    assert {reason.kind for one in ranking.items for reason in one.reasons} == {"prior"}


def test_a_click_brings_what_others_met_next() -> None:
    ranking = asked("home", event("cap"), k=2)
    assert names(ranking) == ["scarf", "coat"]
    assert ranking.policy == "personal"


def test_the_newest_event_weighs_by_its_type_and_older_ones_by_recency() -> None:
    ranking = asked("home", event("glove", "cart"), event("boot", "click"), event("cap", "purchase"))
    parts = {(one.id, r.item): r.part for one in ranking.items for r in one.reasons if r.kind == "history"}
    assert parts["cap", "glove"] == pytest.approx(3.0 * 2.5)
    assert parts["sock", "boot"] == pytest.approx(2.0 * 0.5 * (5.0 + 0.5))  # both are of the feet
    assert parts["scarf", "cap"] == pytest.approx(4.0 * 0.25 * (4.0 + 0.5))


def test_events_of_items_the_model_does_not_know_take_no_place_in_the_history() -> None:
    known = [event("glove"), event("boot"), event("cap"), event("coat")]
    strange = [event(f"new-{n}") for n in range(9)]
    assert asked("home", *strange, *known).items == asked("home", *known).items


def test_only_as_many_events_speak_as_the_model_was_made_for() -> None:
    newest = [event("glove"), event("glove"), event("glove"), event("glove")]
    assert asked("home", *newest, event("boot", "purchase")).items == asked("home", *newest).items


def test_parts_add_up_to_the_score_and_none_is_zero() -> None:
    ranking = asked("home", event("cap", "click"), event("boot"), event("sock"), event("cap", "cart"))
    for one in ranking.items:
        assert sum(reason.part for reason in one.reasons) == pytest.approx(one.score, abs=1e-5)
        assert all(reason.part != 0 for reason in one.reasons)
        assert one.final_score == one.score
        assert one.probability is None


def test_an_item_met_twice_is_one_reason() -> None:
    ranking = asked("home", event("cap", ago=1), event("cap", ago=2), k=1)
    scarf = ranking.items[0]
    assert [(r.kind, r.item) for r in scarf.reasons] == [("history", "cap"), ("prior", None)]
    assert scarf.reasons[0].part == pytest.approx(1.5 * 4.5)


def test_leaving_one_event_out_takes_exactly_its_part_from_the_score() -> None:
    history = [event("cap"), event("coat"), event("boot")]
    mute = replace(SERVING, event_weights={**SERVING.event_weights, "impression": 0.0})
    silent = [history[0], replace(history[1], type="impression"), history[2]]
    full = {one.id: one for one in asked("home", *history).items}
    without = {one.id: one for one in asked("home", *silent, serving=mute).items}
    for item, one in full.items():
        part = sum(r.part for r in one.reasons if r.item == "coat")
        assert one.score - part == pytest.approx(without[item].score, abs=1e-6)
    assert full["scarf"].score != pytest.approx(without["scarf"].score)


def test_similar_items_are_those_that_follow_the_item_and_never_itself() -> None:
    ranking = asked("similar", event("glove"), item="boot")
    assert names(ranking)[:2] == ["sock", "glove"]
    assert "boot" not in names(ranking)
    assert ranking.policy == "similar"
    assert ranking.items[0].reasons[0].item == "boot"


def test_similar_to_an_unknown_item_is_what_trends_with_a_note() -> None:
    ranking = asked("similar", item="sofa")
    assert names(ranking) == TREND
    assert ranking.policy == "trending"
    assert ranking.note is not None
    assert "'sofa' is not in the model" in ranking.note


def test_a_cart_is_completed_by_what_follows_all_of_it_and_not_by_itself() -> None:
    ranking = asked("cart", items=["cap", "coat"])
    assert names(ranking)[0] == "scarf"  # 4 + 3: more than either alone
    assert not {"cap", "coat"} & set(names(ranking))
    assert ranking.items[0].score == pytest.approx(4 + 0.5 + 3 + 0.03)


def test_a_cart_of_unknown_items_is_what_trends_with_a_note() -> None:
    ranking = asked("cart", items=["sofa", "lamp"])
    assert (names(ranking), ranking.policy) == (TREND, "trending")
    assert ranking.note is not None


def test_rerank_keeps_every_item_once_and_puts_unknown_ones_last_in_the_callers_order() -> None:
    ranking = asked("rerank", event("cap"), items=["sofa", "boot", "scarf", "lamp", "coat"])
    assert names(ranking) == ["scarf", "coat", "boot", "sofa", "lamp"]
    assert [one.score for one in ranking.items[3:]] == [0, 0]


def test_rerank_keeps_items_that_are_off_sale_or_variants_of_each_other() -> None:
    stock = assortment(parents=("x", "x", "coat", "x", "scarf", "sock"), unavailable=(0, 4))
    ranking = asked("rerank", event("cap"), items=["boot", "cap", "glove", "scarf"], stock=stock)
    assert sorted(names(ranking)) == ["boot", "cap", "glove", "scarf"]


def test_rerank_leaves_out_what_is_excluded_known_or_not() -> None:
    assert names(asked("rerank", items=["sofa", "boot", "lamp", "coat"], exclude=["sofa", "coat"])) == ["boot", "lamp"]


def test_of_a_cart_too_long_for_the_model_the_last_items_speak() -> None:
    ranking = asked("cart", items=["boot", "glove", "coat", "scarf", "sock"])  # L is 4
    assert names(ranking) == ["cap"]
    assert {reason.item for reason in ranking.items[0].reasons} == {"glove", "scarf", None}
    assert asked("cart", items=["glove", "sock", "boot", "coat", "scarf"]).items[0].score == pytest.approx(1.05)


def test_trending_ignores_the_history() -> None:
    assert names(asked("trending", event("cap"))) == TREND


def test_excluded_and_unavailable_items_are_left_out() -> None:
    assert names(asked(exclude=["coat", "boot", "sofa"], stock=assortment(unavailable=(5,)))) == [
        "cap",
        "glove",
        "scarf",
    ]


@pytest.mark.parametrize("surface", ["home", "trending"])
def test_seen_items_are_left_out_where_nobody_buys_twice(surface: str) -> None:
    serving = replace(SERVING, exclude_seen=True)
    shown = names(asked(surface, event("cap"), event("scarf"), serving=serving))
    assert set(shown) == set(TREND) - {"cap", "scarf"}


def test_seen_items_are_shown_where_people_come_back_to_them() -> None:
    assert "cap" in names(asked("home", event("cap")))


def test_a_longer_list_than_the_catalogue_is_what_there_is() -> None:
    assert len(asked(k=100).items) == 6


def test_a_catalogue_with_nothing_left_is_an_empty_list_with_a_note() -> None:
    ranking = asked(stock=assortment(unavailable=tuple(range(6))))
    assert ranking.items == ()
    assert ranking.note == NOTHING_LEFT


def test_variants_are_shown_once_by_their_best_and_the_list_is_still_full() -> None:
    stock = assortment(parents=("warm", "cap", "warm", "glove", "scarf", "warm"))
    assert names(asked(k=4, stock=stock)) == ["coat", "cap", "glove", "scarf"]


def test_the_list_is_full_although_more_variants_crowd_the_top_than_were_asked_for() -> None:
    crowd = [changed(f"scarf-{n}", parent_id="scarf", categories=("head",)) for n in range(60)]
    ranking = asked("home", event("cap"), k=4, stock=assortment().after(crowd))
    assert names(ranking)[:2] == ["scarf", "coat"]
    assert len(ranking.items) == 4


def test_an_item_is_not_answered_with_its_own_variants() -> None:
    stock = assortment(parents=("foot", "cap", "coat", "glove", "scarf", "foot"))
    assert "sock" not in names(asked("similar", item="boot", stock=stock))
    assert "sock" not in names(asked("cart", items=["boot"], stock=stock))


def test_an_item_newer_than_the_model_is_shown_for_its_content() -> None:
    stock = assortment().after([changed("sandal", categories=("feet",)), changed("lamp", categories=("house",))])
    ranking = asked("home", event("boot"), k=8, stock=stock)
    sandal = next(one for one in ranking.items if one.id == "sandal")
    assert sandal.score == pytest.approx(0.5)
    assert sandal.reasons[0].item == "boot"
    assert names(ranking).index("sandal") < names(ranking).index("coat")
    assert "lamp" in names(ranking)


def test_newer_items_can_be_off_sale_excluded_seen_similar_or_in_the_cart() -> None:
    stock = assortment().after([changed("sandal", categories=("feet",)), changed("clog", available=False)])
    assert "clog" not in names(asked(stock=stock))
    assert "sandal" not in names(asked(stock=stock, exclude=["sandal"]))
    assert "sandal" not in names(
        asked("home", event("sandal"), stock=stock, serving=replace(SERVING, exclude_seen=True))
    )
    assert "sandal" not in names(asked("cart", items=["sandal", "boot"], stock=stock))
    assert "sandal" not in names(asked("similar", item="sandal", stock=stock))
    assert names(asked("rerank", items=["clog", "sofa", "coat"], stock=stock)) == ["coat", "clog", "sofa"]


def test_the_right_newer_item_is_named_when_another_before_it_may_not_be_shown() -> None:
    stock = assortment().after(
        [changed("clog", ago=9, available=False), changed("sandal", ago=8, categories=("feet",)), changed("hat", ago=7)]
    )
    ranking = asked("home", event("boot"), k=9, stock=stock)
    by_name = {one.id: one.score for one in ranking.items}
    assert by_name["sandal"] == pytest.approx(0.5)
    assert by_name["hat"] == pytest.approx(0.0)


def test_changes_make_items_come_and_go_whatever_their_order_and_however_often() -> None:
    changes = [changed("coat", ago=9, available=False), changed("coat", ago=3), deleted("sock", ago=5), changed("hat")]
    once = assortment().after(changes)
    twice = assortment().after(changes[::-1]).after(changes[:2]).after(changes)
    for stock in (once, twice):
        shown = names(asked(stock=stock, k=20))
        assert "coat" in shown
        assert "sock" not in shown
        assert "hat" in shown
    assert once.after(changes) is once


def test_newer_items_of_equal_score_stand_by_id_and_not_as_they_arrived() -> None:
    first, second = changed("zip", ago=9), changed("anorak", ago=3)
    together, apart = assortment().after([first, second]), assortment().after([first]).after([second])
    assert names(asked(stock=together, k=20))[-2:] == names(asked(stock=apart, k=20))[-2:] == ["anorak", "zip"]


def test_an_item_that_becomes_a_variant_of_another_is_shown_no_more_beside_it() -> None:
    stock = assortment().after([changed("sock", parent_id="coat")])
    assert names(asked(k=3, stock=stock)) == ["coat", "boot", "cap"]


def test_an_item_deleted_and_put_again_is_back() -> None:
    stock = assortment().after([deleted("sock", ago=9)]).after([changed("sock", ago=2)])
    assert names(asked(stock=stock, k=2)) == ["coat", "sock"]


def test_the_graph_is_asked_for_no_more_than_is_eligible() -> None:
    scorer = NumpyScorer()
    rank(Request("home", 100), [], SERVING, assortment(unavailable=(0, 1)), scorer)
    assert [one.k for one in scorer.asked] == [4]


def test_weights_are_finite_numbers() -> None:
    assert all(math.isfinite(one.score) for one in asked("home", event("cap"), event("coat")).items)


def test_what_was_taken_back_speaks_for_nothing_and_takes_no_place() -> None:
    kept = [event("cap", "click", ago=5)]
    back = [
        event("boot", "remove", ago=1),
        event("glove", "refund", ago=2, order_id="o1"),
        event("glove", "purchase", ago=3, order_id="o1"),
        event("boot", "cart", ago=4),
    ]
    assert asked("home", *back, *kept).items == asked("home", *kept).items
    assert asked("home", *back[2:], *kept).items != asked("home", *kept).items


def test_refunds_and_removals_are_read_with_the_history() -> None:
    assert history_types(SERVING) == {"view", "click", "cart", "purchase", "refund", "remove"}
