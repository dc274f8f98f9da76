r"""Points for a folder of images by the snapshots of a campaign, as a Ray job.

ray job submit --working-dir . -- python jobs/generate.py /shared/runs/first /shared/runs/points \
    --images /shared/images
"""

import sys

from atal_ray.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "generate")
    main()
