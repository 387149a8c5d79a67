"""Beckon: a recommender and conversion optimiser that lives in a shop's own AWS account."""

VERSION = "0.1.0"
