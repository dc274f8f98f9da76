r"""A sweep as a Ray job: a campaign for each combination of fields.

ray job submit --working-dir . -- python jobs/sweep.py paper /shared/runs/sweep \
    --over query.top-percent=1,3,5 train.cycles=5,7 budget.total=6,10,20 \
    --data.train /shared/DUTS-TR --data.tests /shared/ECSSD
"""

import sys

from atal_ray.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "sweep")
    main()
