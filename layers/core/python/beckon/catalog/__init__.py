"""What is sold: items, their availability, and the log of changes a warm scorer follows."""
