"""What is done to texts before they are stored: commitments, and later detectors and capture policies."""
