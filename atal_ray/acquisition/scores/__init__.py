"""Scores: what the members say of an image -> how uncertain each pixel is."""
