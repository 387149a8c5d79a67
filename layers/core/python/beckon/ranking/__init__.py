"""From a request to a list: scorer, rules, reasons, exposures."""
