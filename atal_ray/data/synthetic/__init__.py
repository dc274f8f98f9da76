"""The embedded data: drawn scenes with exact masks."""
