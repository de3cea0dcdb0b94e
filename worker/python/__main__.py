"""A fork server: a warmed process that becomes a worker by each of its forks."""

import sys

from kiln.worker.serve import main

sys.exit(main())
