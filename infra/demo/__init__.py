"""A simulated shop with known ground truth, the whole loop run on it, and real event files replayed."""
