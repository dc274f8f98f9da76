r"""Tables and figures of the paper, as a Ray job.

ray job submit --working-dir . -- python jobs/study.py fig7 /shared/runs/studies --scale small \
    --resources.backend ray --data.train /shared/DUTS-TR --data.tests /shared/ECSSD
"""

import sys

from atal_ray.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "study")
    main()
