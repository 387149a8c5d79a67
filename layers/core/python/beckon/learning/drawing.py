"""Plots as inline SVG, in plain Python: text that a page holds, that scales with it and follows its colours."""

from collections.abc import Sequence
from html import escape
from math import floor, log10

WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 88, 12, 14, 52
STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)  # of an axis, times a power of ten


def reliability_plot(bins: Sequence[Sequence[float]]) -> str:
    """Return predicted against seen: a dot a bin (mean chance, share, slots), the diagonal is perfect."""
    most = _round(max((max(chance, share) for chance, share, _ in bins), default=0.0))
    parts = [_axes("predicted", "happened", low=0, high=most, right=most)]
    parts.append(f'<path class="ideal" d="M{_x(0, 0, most)} {_y(0, 0, most)}L{_x(1, 0, 1)} {_y(1, 0, 1)}"/>')
    dots = [(_x(chance, 0, most), _y(share, 0, most)) for chance, share, _ in bins]
    parts.append(_line(dots))
    for (x, y), (chance, share, many) in zip(dots, bins, strict=True):
        title = f"predicted {_percent(chance)}, happened {_percent(share)}, {many:,.0f} slots"
        parts.append(f'<circle cx="{x}" cy="{y}" r="4.5"><title>{title}</title></circle>')
    return _svg("Reliability: predicted chance against what happened", parts)


def bar_plot(names: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], label: str) -> str:
    """Return bars side by side, one of each series a name; values are shares."""
    most = _round(max((value for _, values in series for value in values), default=0.0))
    parts = [_axes(label, "share", low=0, high=most)]
    room = (WIDTH - LEFT - RIGHT) / max(1, len(names))
    wide = 0.78 * room / max(1, len(series))
    for at, name in enumerate(names):
        for number, (title, values) in enumerate(series):
            top = _y(values[at], 0, most)
            left = LEFT + room * at + 0.11 * room + wide * number
            tip = f"<title>{escape(title)}, {escape(name)}: {_percent(values[at])}</title>"
            parts.append(
                f'<rect class="s{number}" x="{left:.1f}" y="{top}" width="{wide:.1f}" '
                f'height="{max(0.0, HEIGHT - BOTTOM - top):.1f}">{tip}</rect>'
            )
        middle = LEFT + room * (at + 0.5)
        parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{escape(name)}</text>')
    return _svg(label, parts)


def trace_plot(values: Sequence[float], taken: Sequence[bool]) -> str:
    """Return trials in their order: a dot each, filled where it was taken, and the line of what stood."""
    low, high = min(values), max(values)
    pad = (high - low) * 0.12 or max(abs(high), 1.0) * 0.05
    low, high = low - pad, high + pad
    last = max(1, len(values) - 1)
    dots = [(_x(at, 0, last), _y(value, low, high)) for at, value in enumerate(values)]
    best: list[tuple[float, float]] = []
    for (x, y), is_taken in zip(dots, taken, strict=True):
        if is_taken:
            best += [(x, best[-1][1]), (x, y)] if best else [(x, y)]
    if best:
        best.append((dots[-1][0], best[-1][1]))
    parts = [_axes("trials, in their order", "N@10", low=low, high=high, shares=False), _line(best)]
    for (x, y), value, is_taken in zip(dots, values, taken, strict=True):
        kind = "taken" if is_taken else "tried"
        parts.append(f'<circle class="{kind}" cx="{x}" cy="{y}" r="4"><title>{value:.5f}, {kind}</title></circle>')
    return _svg("Every trial of the search", parts)


def _svg(title: str, parts: Sequence[str]) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{body}</svg>'


def _axes(across: str, up: str, *, low: float, high: float, right: float | None = None, shares: bool = True) -> str:
    """Return the grid with its numbers, from `low` to `high`, and from 0 to `right` where that is given."""
    said = _percent if shares else _short
    parts = []
    for step in range(5):
        value = low + (high - low) * step / 4
        y = _y(value, low, high)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y + 4}" text-anchor="end">{said(value)}</text>')
        if right is not None and step:
            x, anchor = _x(right * step / 4, 0, right), "middle" if step in (1, 2, 3) else "end"
            parts.append(
                f'<text x="{x}" y="{HEIGHT - BOTTOM + 18}" text-anchor="{anchor}">{said(right * step / 4)}</text>'
            )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="name" x="{middle}" y="{HEIGHT - 7}" text-anchor="middle">{escape(across)}</text>')
    parts.append(
        f'<text class="name" transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(up)}</text>'
    )
    return "".join(parts)


def _round(most: float) -> float:
    """Return where an axis of four steps ends that holds `most`."""
    if not most > 0:
        return 1.0
    power = 10.0 ** floor(log10(most / 4))
    return 4 * power * next(step for step in (*STEPS, most / 4 / power) if 4 * power * step >= most)


def _line(dots: Sequence[tuple[float, float]]) -> str:
    return f'<path class="line" d="M{"L".join(f"{x} {y}" for x, y in dots)}"/>' if dots else ""


def _x(value: float, low: float, high: float) -> float:
    return round(LEFT + (value - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT), 1)


def _y(value: float, low: float, high: float) -> float:
    return round(HEIGHT - BOTTOM - (value - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM), 1)


def _percent(value: float) -> str:
    return f"{100 * value:.{0 if value >= 0.1 or not value else 1 if value >= 0.01 else 2}f} %"  # noqa: PLR2004


def _short(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.3g}"
