"""What manage answers: the catalogue's and the models' routes, and the operator's commands."""
