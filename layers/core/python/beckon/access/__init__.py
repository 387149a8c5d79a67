"""Who may do what: shops' keys, scopes and signed user tokens."""
