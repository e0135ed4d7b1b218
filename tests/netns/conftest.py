"""The commands run in a warm process."""

import tests.support.warm  # noqa: F401 - what it loads is there before the first fork
