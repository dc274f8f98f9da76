"""Many campaigns that answer one question: cross validation and sweeps."""
