from __future__ import annotations

import os
import secrets
import sys

os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # which Ray reads when imported

from tests.chaos.chaos import main

sys.exit(main())
