"""A campaign as a Ray job.

ray job submit --working-dir . -- python jobs/run.py paper /shared/runs/first --data.train /shared/DUTS-TR
"""

import sys

from atal_ray.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "run")
    main()
