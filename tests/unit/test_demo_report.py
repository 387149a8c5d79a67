"""The demo's numbers and page: intention to treat, and a page that needs nothing but itself."""

import json
import re
from html.parser import HTMLParser

import pytest

from infra.demo.client import Failed
from infra.demo.experiment import Visit
from infra.demo.live import check_list
from infra.demo.measure import conversion, funnels, purchases, shopper_of
from infra.demo.report import page


def visited(number, arm, started=1_000, **more):
    known = {"lists": 1, "impressions": 4, "clicks": 1, "orders": (), "events": 6, "liked": 0.5}
    return Visit(**({"shopper": f"shopper-{number:04d}", "arm": arm, "started": started} | known | more))


def outcome(source, kind="purchase", ts=2_000, **more):
    return {"source": source, "kind": kind, "ts": ts, "credits": []} | more


VISITS = [visited(n, "control") for n in range(3)] + [visited(n, "treatment", liked=1.5) for n in range(3, 7)]
NUMBERS = {
    "seed": 3,
    "seconds": 123.4,
    "model_id": "20261124T072117Z-ab12",
    "items": 320,
    "events_sent": 9_000,
    "events_accepted": 8_900,
    "events_duplicates": 200,
    "events_rejected": 100,
    "parquet_rows": 8_700,
    "parquet_files": 2,
    "parquet_bytes": 456_789,
    "recommendations": 900,
    "exposures": 900,
    "outcomes": 700,
    "holdout": {"recall_at_10": 0.31, "ndcg_at_10": 0.2, "popularity_recall_at_10": 0.08},
    "conversion": {"control": 0.12, "treatment": 0.24, "lift": 1.0, "interval": [0.4, 1.9]},
    "funnel": {
        arm: {"users": 300, "lists": 450, "impressions": 1_500, "clicks": 150, "buyers": 36, "liking": 0.7}
        for arm in ("control", "treatment")
    },
    "checks": ["a <b>claim</b> that held"],
    "example": {
        "shopper": "shopper-0007",
        "taste": ["category rugs"],
        "looked_at": ["Hale & Rook rustic rug in ink"],
        "recommended": [
            {"title": "Juno minimal rug in plum", "liking": -0.3, "reasons": ["they looked at a rug (90%)"]}
        ],
        "liking_of_recommended": 1.2,
        "liking_of_trending": -0.1,
    },
}


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.opened, self.closed, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.opened.append(tag)
        self.attributes.extend(attrs)

    def handle_endtag(self, tag):
        self.closed.append(tag)


def test_everything_bought_after_assignment_counts_and_nothing_before():
    outcomes = [
        outcome("order:order-shopper-0001-test-3"),
        outcome("order:order-shopper-0001-test-9", credits=[{"rec_id": "r"}]),
        outcome("order:order-shopper-0002-past1-4", ts=999),
        outcome("shopper-0003-test-1", kind="click"),
        outcome("order:order-shopper-0099-test-1"),
    ]
    assert purchases(outcomes, VISITS) == {"shopper-0001": 2}


def test_an_outcome_is_its_shoppers_by_the_demos_own_ids():
    assert shopper_of("order:order-shopper-0012-test-3") == "shopper-0012"
    assert shopper_of("order:somebody-else") is None


def test_conversion_is_of_all_assigned_shoppers_once_each():
    found = conversion({"shopper-0001": 5, "shopper-0003": 1, "shopper-0004": 1}, VISITS)
    assert (found.control, found.treatment) == (pytest.approx(1 / 3), pytest.approx(2 / 4))
    assert found.lift == pytest.approx(0.5)
    assert (found.control_users, found.treatment_users) == (3, 4)


def test_an_arm_that_bought_nothing_fails_in_words():
    with pytest.raises(Failed, match="no conversion among 3 users of control"):
        conversion({"shopper-0004": 1}, VISITS)


def test_the_funnel_is_of_each_arm_alone():
    found = funnels({"shopper-0001": 2}, VISITS)
    assert found["control"] == {"users": 3, "lists": 3, "impressions": 12, "clicks": 3, "buyers": 1, "liking": 0.5}
    assert found["treatment"]["liking"] == 1.5


def test_the_page_loads_nothing_closes_what_it_opens_and_fits_a_telephone():
    text = page(NUMBERS)
    tags = Tags(text)
    names = {name for name, _ in tags.attributes}
    assert not names & {"src", "href", "action", "srcset", "onclick"}
    assert not re.search(r"https?://|@import|url\(", text)
    void = {"meta", "br", "line", "circle"}
    assert sorted(tag for tag in tags.opened if tag not in void) == sorted(t for t in tags.closed if t not in void)
    assert ("name", "viewport") in tags.attributes
    assert ("lang", "en") in tags.attributes
    assert "$" not in text


def test_the_page_says_what_was_measured_and_escapes_what_it_shows():
    text = page(NUMBERS)
    for said in (
        "+100 %",
        "+40 %",
        "+190 %",
        "Hale &amp; Rook",
        "a &lt;b&gt;claim&lt;/b&gt;",
        "8,700",
        "\N{MINUS SIGN}0.3",
        "31.0 %",
    ):
        assert said in text
    assert "leaves out 0" in text


def test_the_page_does_not_claim_what_the_interval_does_not():
    conversion_of_none = NUMBERS["conversion"] | {"lift": 0.05, "interval": [-0.2, 0.4]}
    text = page(NUMBERS | {"conversion": conversion_of_none})
    assert "covers 0: this run shows no difference" in text
    assert "leaves out 0" not in text


def test_the_numbers_are_plain_json():
    assert json.loads(json.dumps(NUMBERS, allow_nan=False)) == NUMBERS


def served(*slots):
    return {
        "rec_id": "r1",
        "items": [
            {"id": i, "score": s, "reasons": [{"kind": "prior", "part": p} for p in parts]} for i, s, parts in slots
        ],
    }


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (served(("a", 1.0, [0.5, 0.4]), ("b", 0.5, [0.5])), "reasons for a sum to 0.9"),
        (served(("a", 1.0, [1.0]), ("a", 0.5, [0.5])), "2 different items"),
        (served(("a", 1.0, [1.0])), "2 different items"),
    ],
)
def test_a_list_that_breaks_a_promise_fails(answer, said):
    with pytest.raises(Failed, match=said):
        check_list(answer, 2)


def test_a_sound_list_passes():
    check_list(served(("a", 1.0, [0.75, 0.25]), ("b", 0.5, [0.5])), 2)
