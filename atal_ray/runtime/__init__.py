"""Ray, and nowhere else in the package: Data, Train, Tune, the session, capacity, progress."""

import os

for _name, _value in {  # Ray reads these when it is imported, and its workers inherit them
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_LOG_LEVEL": "ERROR",  # its one warning says that its progress bars are off
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # each stage shows one bar of its own
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a process more; a training goes on from its last snapshot
}.items():
    os.environ.setdefault(_name, _value)
