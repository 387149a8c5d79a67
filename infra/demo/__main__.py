"""`python -m infra.demo`."""

import sys

from infra.demo.demo import main

sys.exit(main())
