"""``python -m mtj_operator.control``: the operator, as its image runs it."""

import sys

from mtj_operator.control.main import main

sys.exit(main())
