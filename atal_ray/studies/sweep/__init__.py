"""A campaign for each combination of fields."""
