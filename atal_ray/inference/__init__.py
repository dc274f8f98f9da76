"""A frozen network made fast: the operations of its answer alone."""
