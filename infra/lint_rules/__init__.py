"""What Beckon promises of its resources, as cfn-lint rules."""
