"""What learning writes and ranking reads: manifest, probes, pointer. The two never import each other."""
