"""From a score map to the points that are asked for: the query grid, the candidate set and RDS."""
