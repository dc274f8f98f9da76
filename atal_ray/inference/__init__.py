"""A frozen network made fast: `prepared` chooses a backend, `plain` is the one to read first."""
