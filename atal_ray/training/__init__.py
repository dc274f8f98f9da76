"""Training of one round (TEUE): targets from points, the cyclic schedule, snapshots. No Ray in here."""
