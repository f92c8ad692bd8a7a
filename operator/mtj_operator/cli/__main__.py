"""``python -m mtj_operator.cli`` is ``mtj``."""

import sys

from mtj_operator.cli.main import main

sys.exit(main())
