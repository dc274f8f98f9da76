r"""Table 3 as a Ray job: each network trained on the points that each network selected.

ray job submit --working-dir . -- python jobs/cross_validate.py paper /shared/runs/transfer \
    --data.train /shared/DUTS-TR --data.tests /shared/ECSSD
"""

import sys

from atal_ray.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "cross-validate")
    main()
