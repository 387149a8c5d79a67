"""What a run's rows say: ratios, and a table for people."""

from collections.abc import Mapping, Sequence
from typing import Any

type Row = Mapping[str, Any]

OURS = ("Beckon", "Beckon + attributes")
COLUMNS = ("model", "R@10", "N@10", "R@10 repeat", "R@10 new", "tuning s", "trials", "fit s", "fit CPU s", "peak MiB")


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Return Beckon's accuracy over the best baseline's, and its fit's seconds and peak over each baseline's.

    Without attributes the baselines are those without; with them they are all. A ratio below 1 of seconds or of peak
    says that Beckon needs less. What cannot be divided is left out.
    """
    found: dict[str, float] = {}
    for data in dict.fromkeys((row["data"], row["variant"]) for row in rows):
        some = {row["model"]: row for row in rows if (row["data"], row["variant"]) == data and not row.get("error")}
        name = data[0] if data[1] == "as recorded" else f"{data[0]}_shuffled"
        theirs = [row for model, row in some.items() if model not in OURS]
        plain = [row for row in theirs if not row["attributes"]]
        for ours, rivals, kind in ((OURS[0], plain, "without"), (OURS[1], theirs, "with")):
            if ours in some and rivals:
                for metric in ("recall_at_10", "ndcg_at_10"):
                    best = max(row[metric] or 0 for row in rivals)
                    label = f"{name}_beckon_{metric.split('_', maxsplit=1)[0]}_over_best_baseline_{kind}_attributes"
                    _put(found, label, some[ours][metric], best)
        for row in theirs:
            ours = OURS[1] if row["attributes"] else OURS[0]
            if ours in some:
                model = row["model"].lower().replace(" + ", "_").replace(" ", "_").replace("-", "_")
                _put(found, f"{name}_fit_seconds_over_{model}", some[ours]["seconds_fitting"], row["seconds_fitting"])
                cpu = "cpu_seconds_fitting"
                _put(found, f"{name}_fit_cpu_seconds_over_{model}", some[ours].get(cpu), row.get(cpu))
                _put(found, f"{name}_peak_mib_over_{model}", some[ours]["peak_mib"], row["peak_mib"])
    by_place = {(row["data"], row["variant"], row["model"]): row for row in rows if not row.get("error")}
    for (data_name, variant, model), row in by_place.items():
        if variant != "as recorded" and (recorded := by_place.get((data_name, "as recorded", model))):
            label = f"{data_name}_{model.lower().replace(' + ', '_').replace(' ', '_')}_recall_shuffled_over_recorded"
            _put(found, label, row["recall_at_10"], recorded["recall_at_10"])
    return found


def _put(found: dict[str, float], name: str, above: float | None, below: float | None) -> None:
    if above is not None and below:
        found[name] = round(above / below, 4)


def markdown(rows: Sequence[Row]) -> str:
    """Return a table for each data set and variant, models without attributes first, the most accurate first."""
    lines: list[str] = []
    for data, variant in dict.fromkeys((row["data"], row["variant"]) for row in rows):
        some = [row for row in rows if (row["data"], row["variant"]) == (data, variant)]
        lines += [f"\n### {data}, {variant} ({some[0]['protocol']}, {some[0].get('targets')} targets)\n"]
        lines += ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
        some.sort(key=lambda row: (row["attributes"], -(row.get("ndcg_at_10") or 0)))
        lines += ["| " + " | ".join(_cells(row)) + " |" for row in some]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> list[str]:
    if row.get("error"):
        return [row["model"], str(row["error"]), *[""] * (len(COLUMNS) - 2)]
    parts = [row.get(kind, {}).get("recall_at_10") for kind in ("repeat", "new")]
    numbers = [row["recall_at_10"], row["ndcg_at_10"], *parts]
    trials = len(row.get("trials") or row.get("trace") or ())
    cost = [
        row.get("seconds_tuning"),
        trials,
        row.get("seconds_fitting"),
        row.get("cpu_seconds_fitting"),
        row.get("peak_mib"),
    ]
    return [row["model"], *(_number(one, 4) for one in numbers), *(_number(one, 2) for one in cost)]


def _number(value: float | None, decimals: int) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.{decimals}f}"
