r"""The page on which people answer a campaign's questions, as a Ray job on the head node.

ray job submit --working-dir . -- python jobs/annotate.py /shared/runs/first --people ann bob
"""

import sys

from atal_ray.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "annotate")
    main()
