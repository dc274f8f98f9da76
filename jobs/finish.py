r"""Masks and a network from the points of a campaign, as a Ray job.

ray job submit --working-dir . -- python jobs/finish.py /shared/runs/first /shared/runs/first/final
"""

import sys

from atal_ray.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "finish")
    main()
