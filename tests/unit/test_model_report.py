"""The report of a model: whole, readable by a machine, and deaf to what item ids would have it do."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from beckon.artefact.model import Manifest, Serving
from beckon.learning.drawing import bar_plot, reliability_plot, trace_plot
from beckon.learning.report import report_html

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;"
BREADTH = {"lists": 200, "distinct": 510, "coverage": 0.255, "popularity": 14.2, "groups": [0.01] * 9 + [0.91]}
SEGMENT = {"segment": "all", "slots": 900, "rate": 0.1, "error": 0.004, "bins": [[0.05, 0.06, 450], [0.15, 0.14, 450]]}
RANKED = {"recall_at_10": 0.1234, "ndcg_at_10": 0.0567, "targets": 4_321}

FULL = Manifest(
    model_id="20260921T141320Z-abcdef12",
    shop="north",
    created=1_790_000_000_000,
    code_version="0.1.0",
    serving=Serving(50, 0.5, {"view": 1.0}, 4, exclude_seen=False),
    files={},
    probes=(),
    inputs={"rows": 28_000, "users": 700, "from": "2026-01-01", "to": "2026-09-21", "hash": "ab" * 32, "skipped": []},
    settings={
        "trace": [
            {"tried": "start", "value": None, "ndcg_at_10": 0.05, "taken": True},
            {"tried": "recency", "value": 0.7, "ndcg_at_10": 0.048, "taken": False},
            {"tried": "content", "value": 1.5, "ndcg_at_10": 0.061, "taken": True},
        ]
    },
    metrics={
        "protocol": "temporal",
        "holdout": RANKED | {"repeat": RANKED, "new": RANKED | {"recall_at_10": None, "ndcg_at_10": None}},
        "champion": RANKED,
        "challenger": RANKED | {"replaces": True},
        "popularity": RANKED,
        "last_item": RANKED,
        "cold_start": {"items": {"0": {"recall_at_10": 0.01, "popularity": 0.0, "targets": 7}}, "people": {}},
        "calibration": {"method": "bent", "log_loss": {"base": 0.33, "bent": 0.31}, "segments": [SEGMENT]},
        "breadth": BREADTH,
        "breadth_before": BREADTH | {"coverage": 0.2},
        "drift": {
            "overlap": 0.87,
            "same_first": 0.75,
            "score": [0.4, 0.5],
            "items_in": 12,
            "items_out": 3,
            "items": 1_200,
            "popularity": [13.0, 14.2],
        },
        "gate": {
            "passed": False,
            "checks": [
                {"check": "probes", "value": True, "limit": True, "passed": True},
                {"check": "coverage", "value": 0.01, "limit": 0.05, "passed": False},
            ],
        },
    },
    lineage={"parent": "20260920T141320Z-12345678", "recipe": "tuned on validation"},
)
BARE = replace(FULL, inputs={}, settings={}, lineage={}, metrics={"protocol": "leave-one-out", "holdout": RANKED})


class Balanced(HTMLParser):
    """Every tag closed in order; which tags and attributes there are."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], set(), set(), ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(manifest, shown=()):
    page = Balanced()
    page.feed(report_html(manifest, shown).decode())
    assert page.open == []
    return page


@pytest.mark.parametrize("manifest", [FULL, BARE])
def test_the_page_is_whole_and_loads_nothing(manifest) -> None:
    text = report_html(manifest).decode()
    page = read(manifest)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "form", "a"}
    assert not page.attributes & {"src", "href", "onclick", "onerror", "onload", "srcset"}
    assert "http" not in text.replace("http-equiv", "")
    assert "url(" not in text
    assert 'name="viewport"' in text
    for section in (
        "Verdict",
        "How well it foretells",
        "Probability",
        "Since the last model",
        "The search for settings",
    ):
        assert section in page.text


def test_it_says_what_the_manifest_says() -> None:
    text = read(FULL, [["boot-1", 0.31]]).text
    for said in (
        "did not pass",
        "0.1234",
        "0.0567",
        "4,321",
        "25.5 %",
        "20.0 %",
        "87.0 %",
        "boot-1",
        "31.0 %",
        "0.0610",
    ):
        assert said in text
    assert text.count("✗") == text.count("✓") == 1
    assert "4.0 %" in text  # the calibration error, of the rate


def test_hostile_names_stay_text() -> None:
    inputs = FULL.inputs | {"from": HOSTILE}
    gate = {"passed": True, "checks": [{"check": HOSTILE, "value": HOSTILE, "limit": 1, "passed": True}]}
    calibration = FULL.metrics["calibration"]
    segments = [SEGMENT, SEGMENT | {"segment": f"surface {HOSTILE}"}]
    hostile = replace(
        FULL,
        shop=HOSTILE,
        model_id=HOSTILE,
        code_version=HOSTILE,
        inputs=inputs,
        settings={"trace": [{"tried": HOSTILE, "value": HOSTILE, "ndcg_at_10": 0.1, "taken": True}]},
        metrics={
            **FULL.metrics,
            "protocol": HOSTILE,
            "gate": gate,
            "calibration": calibration | {"method": HOSTILE, "log_loss": {HOSTILE: 0.1}, "segments": segments},
        },
        lineage={"parent": HOSTILE, "recipe": HOSTILE},
    )
    page = read(hostile, [[HOSTILE, 0.5]])
    assert not page.tags & {"script", "img"}
    assert "onerror" not in page.attributes
    assert page.text.count(HOSTILE) >= 10  # shown as it is, everywhere
    assert "<script" not in report_html(hostile, [[HOSTILE, 0.5]]).decode()


def test_lone_surrogates_do_not_stop_a_report() -> None:
    assert b"item ?" in report_html(FULL, [["item \ud800", 0.5]])


def test_the_same_manifest_is_the_same_page() -> None:
    assert report_html(FULL) == report_html(FULL)


@pytest.mark.parametrize(
    "plot",
    [
        reliability_plot([[0.1, 0.2, 10], [0.3, 0.25, 10]]),
        reliability_plot([]),
        reliability_plot([[0.0, 0.0, 5]]),
        bar_plot(["1", "<2>"], [("a & b", [0.1, 0.9]), ("c", [0.0, 0.0])], "x < y"),
        bar_plot([], [], "none"),
        trace_plot([0.1], [True]),
        trace_plot([0.2, 0.2, 0.2], [False, False, False]),
        trace_plot([0.0, -0.5, 3e6], [True, False, True]),
    ],
)
def test_plots_are_well_formed_and_stay_inside(plot) -> None:
    root = ET.fromstring(plot)
    assert root.get("aria-label")
    width, height = (float(one) for one in root.get("viewBox").split()[2:])
    for dot in root.iter("circle"):
        assert 0 <= float(dot.get("cx")) <= width
        assert 0 <= float(dot.get("cy")) <= height
    for bar in root.iter("rect"):
        assert 0 <= float(bar.get("y")) <= float(bar.get("y")) + float(bar.get("height")) <= height
    assert not re.search(r"nan|inf", plot)


def test_a_dot_is_where_its_numbers_are() -> None:
    plot = ET.fromstring(reliability_plot([[0.0, 0.0, 1], [0.5, 0.25, 1]]))
    (x0, y0), (x1, y1) = ((float(dot.get("cx")), float(dot.get("cy"))) for dot in plot.iter("circle"))
    assert x1 > x0
    assert y1 < y0
    # Both axes run to 0.6; happened is half of predicted.
    across, up = (x1 - x0) / (520 - 88 - 12), (y0 - y1) / (300 - 14 - 52)
    assert across == pytest.approx(0.5 / 0.6, rel=0.01)
    assert up == pytest.approx(across / 2, rel=0.01)
