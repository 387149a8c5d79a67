import pytest

from beckon.aws.http import parse
from beckon.ranking.wire import RecommendationBody
from beckon.values import Refused


def request(**body):
    return parse(RecommendationBody, body).request()


def test_an_empty_body_is_ten_items_for_home() -> None:
    asked = request()
    assert (asked.surface, asked.k, asked.items, asked.exclude) == ("home", 10, (), frozenset())


def test_rerank_answers_all_of_its_items_unless_told_how_many() -> None:
    items = [f"i{n}" for n in range(300)]
    assert request(surface="rerank", items=items).k == 300
    assert request(surface="rerank", items=items, k=3).k == 3


def test_items_sent_twice_are_one() -> None:
    assert request(surface="cart", items=["b", "a", "b"]).items == ("b", "a")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"surface": "search"}, "surface"),
        ({"surface": "windowless"}, "surface"),
        ({"surface": None}, "surface"),
        ({"need": "something warm"}, "need"),
        ({"filter": "INCLUDE"}, "filter"),
        ({"shop": "south"}, "shop"),
        ({"k": 0}, "k"),
        ({"k": 101}, "k"),
        ({"k": "10"}, "k"),
        ({"k": 1.5}, "k"),
        ({"k": True}, "k"),
        ({"user": 7}, "user"),
        ({"user": ""}, "user"),
        ({"user": "u" * 257}, "user"),
        ({"anonymous_id": "a" * 10_000}, "anonymous_id"),
        ({"surface": "similar"}, "item"),
        ({"surface": "similar", "item": ""}, "item"),
        ({"surface": "similar", "item": "i" * 257}, "item"),
        ({"surface": "cart"}, "items"),
        ({"surface": "cart", "items": []}, "items"),
        ({"surface": "rerank"}, "items"),
        ({"surface": "rerank", "items": "boot"}, "items"),
        ({"surface": "rerank", "items": ["i"] * 501}, "items"),
        ({"surface": "rerank", "items": ["ok", "i" * 257]}, "items.1"),
        ({"surface": "home", "item": "boot"}, "item"),
        ({"surface": "home", "items": ["boot"]}, "items"),
        ({"exclude": ["e"] * 501}, "exclude"),
        ({"exclude": {"a": 1}}, "exclude"),
    ],
)
def test_a_mistake_is_refused_by_the_name_of_its_field(body: dict, field: str) -> None:
    with pytest.raises(Refused) as refused:
        request(**body)
    assert (refused.value.code, refused.value.field) == ("invalid-request", field)
    assert refused.value.detail.startswith(field)


@pytest.mark.parametrize("field", ["need", "filter", "explain"])
def test_what_is_not_served_yet_is_called_an_unknown_field(field: str) -> None:
    with pytest.raises(Refused, match=f"{field}: unknown field"):
        request(**{field: "x"})
