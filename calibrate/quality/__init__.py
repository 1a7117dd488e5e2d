"""What compression costs in quality, on real text."""
