"""A model's report: one page that a person reads, self-contained, made of what the manifest says."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from beckon.artefact.model import Manifest
from beckon.learning.drawing import bar_plot, reliability_plot, trace_plot
from beckon.learning.lists import GROUPS
from beckon.values import iso

UNKNOWN = "n/a"
STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6675; --line: #d9dee5; --page: #fbfbf9; --card: #fff;
  --a: #0b6e62; --b: #b98a3c; --c: #7d8794; --bad: #a3261f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebef; --soft: #a3adba; --line: #38414d; --page: #14181e;
  --card: #1c222a; --a: #4fc3b0; --b: #d3b072; --c: #8b96a5; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .5rem; } h3 { font-size: 1rem; margin: 1rem 0 .2rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; margin: 1rem 0; }
p { margin: .4rem 0; } .soft, figcaption { color: var(--soft); font-size: .92rem; } figure { margin: .6rem 0; }
code { overflow-wrap: anywhere; } .bad { color: var(--bad); } .good { color: var(--a); }
.scroll { overflow-x: auto; } .scroll + .scroll { margin-top: .9rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .5rem; border-top: 1px solid var(--line); vertical-align: top; }
thead th { border-top: 0; color: var(--soft); font-weight: 500; }
tbody th { font-weight: 400; overflow-wrap: anywhere; }
.right { text-align: right; white-space: nowrap; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--soft); font: 13px system-ui, sans-serif; }
.grid { stroke: var(--line); } .ideal { stroke: var(--c); stroke-dasharray: 5 4; fill: none; }
.line { stroke: var(--a); stroke-width: 1.8; fill: none; } circle { fill: var(--a); }
.tried { fill: var(--card); stroke: var(--c); } .s0, .k0 { fill: var(--a); } .s1, .k1 { fill: var(--b); }
.key { white-space: nowrap; }
.key svg { display: inline; width: .8rem; height: .8rem; vertical-align: -.05rem; margin: 0 .3rem 0 .8rem; }
@media (max-width: 30rem) { section { padding: .8rem .7rem; } svg text { font-size: 17px; }
  table { font-size: .92rem; } th, td { padding: .3rem .25rem; } }
"""


def report_html(manifest: Manifest, shown: Sequence[Sequence[Any]] = ()) -> bytes:
    """Return report.html of a model: how it ranks, by segment, how broad it is, whether its chances hold, what changed.

    `shown`: the most recommended items with their share of the lists. Nothing in it is of a single person; texts of
    others (item ids, shop) are escaped, and the page loads and runs nothing. The same manifest gives the same bytes.
    """
    metrics = manifest.metrics
    parts = [
        _verdict(manifest),
        _ranking(metrics),
        _breadth(metrics.get("breadth"), metrics.get("breadth_before"), shown),
        _chances(metrics.get("calibration")),
        _drift(metrics.get("drift"), manifest.lineage),
        _search(manifest.settings),
        _origin(manifest),
    ]
    title = f"Model {escape(manifest.model_id)}"
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>"
        f'<h1>{title}</h1><p class="soft">Shop {escape(manifest.shop)}, made {iso(manifest.created)}</p>'
        f"{''.join(parts)}</main></body></html>\n"
    )
    return page.encode("utf-8", "replace")


def _verdict(manifest: Manifest) -> str:
    gate = manifest.metrics.get("gate", {})
    rows = [
        (one["check"], _said(one["value"]), _said(one["limit"]), _mark(passed=one["passed"]))
        for one in gate.get("checks", ())
    ]
    said = "passed every check" if gate.get("passed") else "did not pass, and is not promoted by itself"
    first = "" if manifest.lineage.get("parent") else " It is the shop's first, and more than nothing."
    table = _table(("check", "found", "limit", ""), rows)
    return _section("Verdict", f"<p>It {said}.{first}</p>{table}")


def _ranking(metrics: Mapping[str, Any]) -> str:
    names = {
        "holdout": "this model's recipe",
        "challenger": "the challenger's recipe",
        "champion": "the champion's recipe",
        "popularity": "most popular",
        "last_item": "last item again",
    }
    rows = [(name, *_measured(metrics[key])) for key, name in names.items() if key in metrics]
    held = metrics.get("holdout", {})
    rows += [
        (f"· {name}", *_measured(held[key]))
        for key, name in (("repeat", "items met before"), ("new", "items not met before"))
        if key in held
    ]
    text = (
        f"<p>Next items that came after everything the recipe was fitted on ({escape(str(metrics.get('protocol')))}), "
        "not brought about by a list that was served; the whole catalogue ranked, ties against the model.</p>"
    )
    table = _table(("", "R@10", "N@10", "targets"), rows)
    return _section("How well it foretells", text + table + "".join(_warmth(metrics.get("cold_start"))))


def _warmth(cold: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield recall by what was known of the item and of the person."""
    for key, name in (("items", "events of the item"), ("people", "events of the person")):
        bands = (cold or {}).get(key)
        if not bands:
            continue
        rows = [
            (band, _number(one.get("recall_at_10")), _number(one.get("popularity")), f"{one.get('targets', 0):,}")
            for band, one in bands.items()
        ]
        yield f"<h3>By {name} before</h3>" + _table((name, "R@10", "most popular", "targets"), rows)


def _breadth(new: Mapping[str, Any] | None, old: Mapping[str, Any] | None, shown: Sequence[Sequence[Any]]) -> str:
    if new is None or not new["lists"]:
        return _section("Breadth", "<p>Nobody came twice yet, so there are no personal lists to look at.</p>")
    series = [("this model", new["groups"])] + ([("the champion", old["groups"])] if old else [])
    plot = bar_plot([str(n) for n in range(1, GROUPS + 1)], series, "items by popularity, in tenths (10: most popular)")
    rows = [("different items shown", *(f"{one['distinct']:,}" for one in (new, old) if one))]
    rows += [("of those that could be", *(_percent(one["coverage"]) for one in (new, old) if one))]
    rows += [("people who met an item shown, mean", *(f"{one['popularity']:,.1f}" for one in (new, old) if one))]
    table = _table(("", "this model", *(["the champion"] if old else [])), rows)
    items = _table(("most recommended", "of the lists"), [(str(one), _percent(share)) for one, share in shown])
    caption = f"Share of the places of {new['lists']:,} lists of ten, by how popular the item is."
    return _section(
        "Coverage and popularity bias", _figure(plot, caption, [name for name, _ in series]) + table + items
    )


def _chances(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return _section(
            "Probability",
            "<p>None yet: it takes 200 places of lists that were seen and acted on.</p>",
        )
    everything = found["segments"][0]
    losses = ", ".join(f"{escape(name)} {value:.5f}" for name, value in found["log_loss"].items())
    rows = [
        (
            one["segment"],
            f"{one['slots']:,}",
            _percent(one["rate"]),
            _percent(one["error"] / one["rate"]) if one["rate"] else UNKNOWN,
        )
        for one in found["segments"]
    ]
    caption = f"{everything['slots']:,} seen places, each foretold by a fit that did not know the person."
    plot = _figure(reliability_plot(everything["bins"]), caption)
    text = "<p>Rate: places acted on. Error: how far the chance misses, on average, as a share of the rate.</p>"
    text += f"<p>Log-loss of people held out, in nats a place: {losses}; taken: {escape(found['method'])}.</p>"
    table = _table(("segment", "places", "rate", "error"), rows)
    return _section("Probability", plot + text + table)


def _drift(found: Mapping[str, Any] | None, lineage: Mapping[str, Any]) -> str:
    if found is None:
        return _section("Since the last model", "<p>There is none to compare with.</p>")
    rows = [
        ("a list's items that stayed", _share(found["overlap"])),
        ("lists with the same first item", _share(found["same_first"])),
        ("items in the model", f"{found['items']:,}"),
        ("· new", f"{found['items_in']:,}"),
        ("· gone", f"{found['items_out']:,}"),
    ]
    if found["score"]:
        rows.append(("score of the first place, before and now", " → ".join(_number(one) for one in found["score"])))
    if found.get("popularity"):
        rows.append(
            ("popularity of what is shown, before and now", " → ".join(f"{n:,.1f}" for n in found["popularity"]))
        )
    text = f"<p>The same people's lists by model <code>{escape(str(lineage.get('parent')))}</code> and by this one.</p>"
    return _section("Since the last model", text + _table(("", ""), rows))


def _search(settings: Mapping[str, Any]) -> str:
    trace = [one for one in settings.get("trace", ()) if isinstance(one.get("ndcg_at_10"), int | float)]
    if not trace:
        return _section(
            "The search for settings", "<p>Too few people or too little time: the settings were not tuned.</p>"
        )
    plot = trace_plot([one["ndcg_at_10"] for one in trace], [bool(one.get("taken")) for one in trace])
    rows = [
        (str(one.get("tried")), _said(one.get("value")), _number(one["ndcg_at_10"]))
        for one in trace
        if one.get("taken")
    ]
    caption = "Filled: better by more than noise, and taken. The line is what stood."
    return _section(
        "The search for settings", _figure(plot, caption) + _table(("taken", "value", "N@10, validation"), rows)
    )


def _origin(manifest: Manifest) -> str:
    inputs, lineage = manifest.inputs, manifest.lineage
    rows = [
        ("model before", str(lineage.get("parent") or "none")),
        ("recipe", str(lineage.get("recipe", "unknown"))),
        ("events", f"{inputs.get('rows', 0):,} from {inputs.get('from')} to {inputs.get('to')}"),
        ("people", f"{inputs.get('users', 0):,}"),
        ("items of the catalogue", f"{inputs.get('catalogue', 0):,}"),
        ("files left out as corrupt", f"{len(inputs.get('skipped', ())):,}"),
        ("hash of what was read", str(inputs.get("hash", ""))[:16]),
        ("version of Beckon", manifest.code_version),
    ]
    return _section("Where it comes from", _table(("", ""), rows))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _figure(plot: str, caption: str, keys: Sequence[str] = ()) -> str:
    square = ' <span class="key"><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="k{}" width="10" height="10"/>'
    square += "</svg>{}</span>"
    key = "".join(square.format(number, escape(name)) for number, name in enumerate(keys))
    return f"<figure>{plot}<figcaption>{escape(caption)}{key}</figcaption></figure>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts, escaped; all columns but the first are numbers."""
    body = "".join(
        f"<tr><th>{escape(row[0])}</th>{''.join(f'<td class="right">{_cell(one)}</td>' for one in row[1:])}</tr>"
        for row in rows
    )
    if not body:
        return ""
    head = "".join(f"<th{' class="right"' if at else ''}>{escape(one)}</th>" for at, one in enumerate(heads))
    top = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    colour = {"✓": "good", "✗": "bad"}.get(text)
    return f'<span class="{colour}">{text}</span>' if colour else escape(text)


def _measured(one: Mapping[str, Any]) -> tuple[str, str, str]:
    return _number(one["recall_at_10"]), _number(one["ndcg_at_10"]), f"{one['targets']:,}"


def _mark(*, passed: bool) -> str:
    return "✓" if passed else "✗"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, int | float) else UNKNOWN if value is None else str(value)


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.4f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _share(value: float | None) -> str:
    return UNKNOWN if value is None else _percent(value)
