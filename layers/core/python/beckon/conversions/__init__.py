"""What was served and what came of it: exposures, attribution, outcomes, counters."""
