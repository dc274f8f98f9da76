"""Strategies: the scores of an image and its free pixels -> the k pixels to ask for."""
