"""`python -m infra.bench [NAME …]` runs the named benchmarks, or all of them."""

import argparse
import importlib

BENCHMARKS = {
    "profiles": "infra.bench.profile_terms",  # does what a profile knows of a person rank better?
    "incremental": "infra.bench.incremental",  # what does a retrain read, by how much is new and how much there is?
    "demo": "infra.demo.nulls",  # does the demo's interval cover 0 when nothing is to be found?
    "signals": "infra.bench.signals",  # what is each kind of event worth beyond views, and what can one account do?
    "learning": "infra.bench.learning.bench",  # Beckon's model beside public baselines: accuracy, seconds, memory
}


def main() -> None:
    """Run each asked-for benchmark's `main`."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(BENCHMARKS)} (default: all)")
    asked, options = parser.parse_known_args()  # options are the benchmark's own
    names = asked.names or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    for name in names:
        importlib.import_module(BENCHMARKS[name]).main(options)


if __name__ == "__main__":
    main()
