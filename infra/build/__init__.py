"""`sam build` for both processors, what it weighs, and the built functions run as Lambda runs them."""
