"""`python -m infra.bench.learning.baseline NAME TASK.npz OUT.json SECONDS`: one baseline, in a process of its own."""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infra.bench.learning.memory import peak_mib
from infra.bench.learning.ranking import Scorer, gain, is_repeat, metrics, ranks
from infra.bench.learning.task import Bools, Task, some

VALIDATED = 2_000  # as many targets as Beckon tunes on
TRIALS_AT_LEAST = 2  # a trial that can stop between epochs takes at most this part of the time
PATIENCE = 3
SEED = 11
THREADS = {"implicit ALS": 2, "implicit BPR": 2}

type Epochs = Callable[[Task, Bools, Mapping[str, Any], np.random.Generator], Iterator[Scorer]]

# name → module, its function, its settings
BASELINES: Mapping[str, tuple[str, str, str]] = {
    "popularity": ("neighbours", "popularity", "POPULARITY"),
    "item-kNN": ("neighbours", "knn", "KNN"),
    "item-kNN + attributes": ("neighbours", "knn", "WITH_ATTRIBUTES"),
    "implicit ALS": ("factors", "als", "ALS"),
    "implicit BPR": ("factors", "bpr", "BPR"),
    "two-tower": ("two_tower", "epochs", "SETTINGS"),
    "NeuMF": ("neumf", "epochs", "SETTINGS"),
    "DMF": ("dmf", "epochs", "SETTINGS"),
}


@dataclass(frozen=True, slots=True)
class Tuned:
    """The settings of the best validation N@10, after how many epochs, and what else was tried."""

    settings: Mapping[str, Any]
    epochs: int
    trials: Sequence[Mapping[str, Any]]


def tune(
    epochs: Epochs,
    task: Task,
    settings: Sequence[Mapping[str, Any]],
    seconds: float,
    clock: Callable[[], float],
) -> Tuned:
    """Return the best of the settings, tried in their order until `seconds` are spent; the first is always tried.

    A model that can be scored between epochs stops when three epochs gained nothing, or at half of the time.
    """
    targets, began = some(task.validation, VALIDATED), clock()
    best, chosen = -1.0, (settings[0], 1)
    trials: list[Mapping[str, Any]] = []
    for one in settings:
        started = clock()
        if trials and started - began > seconds:
            break
        top, at, done = -1.0, 0, 0
        for scorer in epochs(task, task.tuned_on, one, np.random.default_rng(SEED)):
            done += 1
            found = gain(ranks(task, scorer, targets))
            if found > top:
                top, at = found, done
            if done - at >= PATIENCE or clock() - started > seconds / TRIALS_AT_LEAST or clock() - began > seconds:
                break
        trials.append({**one, "epochs": at, "epochs_run": done, "ndcg_at_10": round(top, 5)})
        if top > best:
            best, chosen = top, (one, at)
    return Tuned(chosen[0], chosen[1], trials)


def run(name: str, task: Task, seconds: float) -> dict[str, Any]:
    """Return one baseline's row: metrics, seconds of tuning and of the final fit, and the process's peak MiB.

    The time to tune is of the processor, one with two threads being granted both, and so is `cpu_seconds_fitting`, of
    all threads together: a machine that others use too must not decide who is tuned how well.
    """
    module, function, settings = BASELINES[name]
    found = importlib.import_module(f"infra.bench.learning.{module}")
    epochs: Epochs = getattr(found, function)
    began = time.perf_counter()
    threads = THREADS.get(name, 1)
    tuned = tune(epochs, task, getattr(found, settings), seconds, lambda: time.process_time() / threads)
    tuning = time.perf_counter() - began
    began, cpu = time.perf_counter(), time.process_time()
    fitted = epochs(task, task.fitted_on, tuned.settings, np.random.default_rng(SEED))
    scorer = next(fitted)
    for _ in range(tuned.epochs - 1):
        scorer = next(fitted)
    fitting, cpu, peak = time.perf_counter() - began, time.process_time() - cpu, peak_mib()
    result = ranks(task, scorer, task.test)
    repeat = is_repeat(task, task.test)
    return {
        **metrics(result),
        "repeat": metrics(result[repeat]),
        "new": metrics(result[~repeat]),
        "seconds_tuning": round(tuning, 3),
        "seconds_fitting": round(fitting, 4),
        "cpu_seconds_fitting": round(cpu, 4),
        "peak_mib": round(peak, 1),
        "settings": dict(tuned.settings),
        "epochs": tuned.epochs,
        "trials": list(tuned.trials),
    }


def main() -> None:
    """Run the baseline that the command line names."""
    name, task, out, seconds = sys.argv[1:]
    Path(out).write_text(json.dumps(run(name, Task.load(Path(task)), float(seconds))))


if __name__ == "__main__":
    main()
