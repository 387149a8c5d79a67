"""The local stack: template.yaml, and nothing else, served on this machine without AWS."""
