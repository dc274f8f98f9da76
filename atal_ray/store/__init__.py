"""Where files lie: local paths and URIs, whole files in a folder, one process at a time."""
