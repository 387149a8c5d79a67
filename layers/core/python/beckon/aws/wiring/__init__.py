"""One module a function, each the single place that chooses that function's real adapters."""
