"""What each function weighs unzipped with its layers, against Lambda's limit and Beckon's own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.build.sam import Built

MIB = 1024 * 1024
LIMIT_MIB = 250  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LIGHT_MIB = 25
LIGHT = frozenset({"collect", "attribute", "manage"})  # answer or follow every event, so their cold starts count most


@dataclass(frozen=True, slots=True)
class Weight:
    """One function on one processor, in bytes unzipped."""

    function: str
    architecture: str
    own: int
    layers: Mapping[str, int]

    @property
    def mib(self) -> float:
        """The function with its layers."""
        return (self.own + sum(self.layers.values())) / MIB

    @property
    def limit_mib(self) -> int:
        """Lambda's limit, or Beckon's own where a function is meant to be light."""
        return LIGHT_MIB if self.function in LIGHT else LIMIT_MIB

    @property
    def is_over(self) -> bool:
        """Whether the function is heavier than it may be."""
        return self.mib > self.limit_mib


def weigh(functions: Iterable[Built], architecture: str) -> list[Weight]:
    """Return the weight of each function as built."""
    weights = []
    known: dict[Path, int] = {}
    for function in functions:
        for folder in (function.code, *function.layers):
            known.setdefault(folder, unzipped_bytes(folder))
        layers = {layer.name: known[layer] for layer in function.layers}
        weights.append(Weight(function.name, architecture, known[function.code], layers))
    return weights


def unzipped_bytes(folder: Path) -> int:
    """Return the bytes of every file under `folder`, a link counted as what it points at, as a zip would hold it.

    Raises:
        FileNotFoundError: there is no such folder, so nothing was built.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not built")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def report(weights: Sequence[Weight]) -> dict[str, Any]:
    """Return the report for machines: MiB a function on each processor, its parts, its limit, and what is over."""
    rows = [
        {
            "function": weight.function,
            "architecture": weight.architecture,
            "mib": round(weight.mib, 1),
            "limit_mib": weight.limit_mib,
            "own_mib": round(weight.own / MIB, 3),
            "layers_mib": {name: round(size / MIB, 1) for name, size in weight.layers.items()},
        }
        for weight in weights
    ]
    over = [f"{weight.function} ({weight.architecture})" for weight in weights if weight.is_over]
    return {"limit_mib": LIMIT_MIB, "light_limit_mib": LIGHT_MIB, "functions": rows, "over": over}
