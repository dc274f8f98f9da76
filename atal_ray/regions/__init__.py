"""Regions: SEEDS superpixels, and what a clicked label covers."""
