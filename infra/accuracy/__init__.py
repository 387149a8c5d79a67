"""`make accuracy`: how well retrain's own model foretells a real event file."""
