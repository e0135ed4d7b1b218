"""Settings: the configuration as the doors see it.

Job: read and parse `/etc/vmnet/vmnet.toml`, or the file that was named.
Leaves to others: trust (`vmnet.kernel.files`) and syntax (`vmnet.formats.config`).
Privilege: read permission.
"""

from __future__ import annotations

from vmnet.errors import ConfigError
from vmnet.formats.config import PATH, Config, parse_config
from vmnet.kernel.files import read_trusted


def load(path: str | None = None) -> Config:
    """Return the configuration; an empty one if the usual file is not there.

    Raises:
        ConfigError: it cannot be used, or a named file is not there.
    """
    text = read_trusted(path or PATH)
    if text is not None:
        return parse_config(text, path or PATH)
    if path is not None:
        raise ConfigError(
            f"{path}: no such file", code="config", remedy="name another with --config"
        )
    return Config()
