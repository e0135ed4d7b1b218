"""How hypothesis works here: quick, and without a folder that an ordinary user could not write."""

from __future__ import annotations

from pathlib import Path

from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(Path(__file__).parents[2] / ".cache" / "hypothesis")
settings.register_profile("unit", max_examples=25, deadline=None, database=None)
settings.load_profile("unit")
