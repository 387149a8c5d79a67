"""The members of the ensemble: each learns one kind of item table from the same counts."""
