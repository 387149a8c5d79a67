"""Side-by-side benchmarks, each into build/bench/<name>.json."""
