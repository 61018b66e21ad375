from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("default", derandomize=True, max_examples=50, deadline=None)
settings.register_profile("nightly", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("M3KIT_HYPOTHESIS", "default"))
