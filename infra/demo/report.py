"""build/demo/report.html: one readable page, with everything in it, made of the numbers of report.json."""

from collections.abc import Callable, Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

type Numbers = Mapping[str, Any]

_PAGE = Template((Path(__file__).parent / "report.template.html").read_text(encoding="utf-8"))
_MINUS = "\N{MINUS SIGN}"


def page(numbers: Numbers) -> str:
    """Return the report as HTML; it loads nothing from anywhere."""
    conversion, holdout = numbers["conversion"], numbers["holdout"]
    low, high = conversion["interval"]
    top = max(conversion["control"], conversion["treatment"])
    certain = (
        "The interval leaves out 0." if low > 0 or high < 0 else "The interval covers 0: this run shows no difference."
    )
    recalls = (holdout["popularity_recall_at_10"], holdout["recall_at_10"])
    return _PAGE.substitute(
        seed=numbers["seed"],
        seconds=f"{numbers['seconds']:.0f}",
        model_id=escape(str(numbers["model_id"])),
        lift=_signed(conversion["lift"]),
        low=_signed(low),
        high=_signed(high),
        interval_picture=_interval_picture(conversion["lift"], low, high),
        conversion_bars=_bar("trending", conversion["control"], top, plain=True)
        + _bar("Beckon", conversion["treatment"], top),
        verdict=certain,
        funnel=_funnel(numbers["funnel"]),
        example=_example(numbers["example"]),
        holdout=_bar("most popular", recalls[0], max(recalls), plain=True) + _bar("Beckon", recalls[1], max(recalls)),
        holdout_note=escape(
            f"Recall at 10: how often a person's next item was among ten recommended of {numbers['items']}. "
            f"nDCG at 10 was {holdout['ndcg_at_10']:.3f}."
        ),
        events=_rows(_event_lines(numbers)),
        checks="".join(f'<li class="ok">{escape(check)}</li>' for check in numbers["checks"]),
    )


def _event_lines(numbers: Numbers) -> list[tuple[str, str]]:
    return [
        ("events sent over HTTP", f"{numbers['events_sent']:,}"),
        ("accepted", f"{numbers['events_accepted']:,}"),
        ("of these sent again, so known already", f"{numbers['events_duplicates']:,}"),
        ("rejected, each with its reason", f"{numbers['events_rejected']:,}"),
        ("rows in the lake (Parquet)", f"{numbers['parquet_rows']:,}"),
        ("Parquet files", f"{numbers['parquet_files']} of {numbers['parquet_bytes'] / 1024:,.0f} KiB together"),
        ("lists served", f"{numbers['recommendations']:,}"),
        ("exposures logged", f"{numbers['exposures']:,}"),
        ("outcomes (clicks, carts, purchases), each once", f"{numbers['outcomes']:,}"),
    ]


def _funnel(funnel: Numbers) -> str:
    control, treatment = funnel["control"], funnel["treatment"]

    def line(label: str, show: Callable[[Numbers], str]) -> str:
        cells = "".join(f'<td class="right">{show(arm)}</td>' for arm in (control, treatment))
        return f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>'

    return "".join(
        (
            line("shoppers assigned", lambda arm: f"{arm['users']:,}"),
            line("lists shown, a shopper", lambda arm: f"{arm['lists'] / arm['users']:.2f}"),
            line("places looked at, a shopper", lambda arm: f"{arm['impressions'] / arm['users']:.2f}"),
            line("clicks, a shopper", lambda arm: f"{arm['clicks'] / arm['users']:.2f}"),
            line("clicks, a place looked at", lambda arm: _share(arm["clicks"] / arm["impressions"])),
            line("shoppers who bought", lambda arm: f"{arm['buyers']:,}"),
            line("hidden liking of places looked at", lambda arm: _signed_number(arm["liking"])),
        )
    )


def _example(example: Numbers) -> str:
    recommended = "".join(
        f"<tr><td>{escape(item['title'])}<br><small>{escape('; '.join(item['reasons']))}</small></td>"
        f'<td class="right">{_signed_number(item["liking"])}</td></tr>'
        for item in example["recommended"]
    )
    trending, liked = (_signed_number(example[f"liking_of_{name}"]) for name in ("trending", "recommended"))
    return (
        f"<p>{escape(example['shopper'])} secretly likes {_listed(example['taste'])}.</p>"
        f"<p>Beckon saw them look at {_listed(example['looked_at'])}.</p>"
        '<div class="scroll"><table><thead><tr><th>Beckon recommends, because</th>'
        f'<th class="right">hidden liking</th></tr></thead><tbody>{recommended}</tbody></table></div>'
        '<p class="soft">The first returning shopper of the treatment arm, not a chosen one. '
        f"On average they like the trending list {trending} and this list {liked}.</p>"
    )


def _interval_picture(lift: float, low: float, high: float) -> str:
    """Return the interval as a line with a dot on an axis that has 0."""
    left, right = min(low, 0.0), max(high, 0.0)
    room = (right - left or 1.0) * 0.08
    scale = 560 / (right - left + 2 * room)

    def x(value: float) -> float:
        return 20 + (value - left + room) * scale

    said = f"lift {_signed(lift)}, 95 % interval {_signed(low)} to {_signed(high)}"
    none = f'x1="{x(0):.1f}" x2="{x(0):.1f}" y1="8" y2="52" stroke="var(--soft)" stroke-dasharray="4 4"'
    span = f'x1="{x(low):.1f}" x2="{x(high):.1f}" y1="30" y2="30" stroke="var(--beckon)" stroke-width="4"'
    return (
        f'<figure><svg viewBox="0 0 600 76" role="img" aria-label="{said}"><line {none}/><line {span}/>'
        f'<text x="{x(0):.1f}" y="70" text-anchor="middle">no difference</text>'
        f'<circle cx="{x(lift):.1f}" cy="30" r="8" fill="var(--beckon)"/>'
        f'<text x="{x(lift):.1f}" y="14" text-anchor="middle">{_signed(lift)}</text></svg></figure>'
    )


def _bar(label: str, value: float, top: float, *, plain: bool = False) -> str:
    width = 100 * value / top if top > 0 else 0
    kind = "bar plain" if plain else "bar"
    drawn = f'<i style="width:{width:.1f}%"></i>'
    return f'<div class="{kind}"><span>{escape(label)}</span>{drawn}<b>{_share(value)}</b></div>'


def _rows(lines: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<tr><th scope="row">{escape(label)}</th><td class="right">{escape(value)}</td></tr>' for label, value in lines
    )


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"<b>{escape(word)}</b>" for word in words)


def _signed(value: float) -> str:
    return f"{value:+.0%}".replace("%", " %").replace("-", _MINUS)


def _signed_number(value: float) -> str:
    return f"{value:+.1f}".replace("-", _MINUS)


def _share(value: float) -> str:
    return f"{value:.1%}".replace("%", " %")
