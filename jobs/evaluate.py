r"""Saliency maps of any methods against masks, as a Ray job.

ray job submit --working-dir . -- python jobs/evaluate.py /shared/runs/table \
    --masks /shared/ECSSD --maps /shared/maps
"""

import sys

from atal_ray.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "evaluate")
    main()
