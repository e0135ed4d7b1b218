"""Settings: the configuration as the doors see it.

Job: read and parse `/etc/vmnet/vmnet.toml`, or the file that was named.
Leaves to others: trust (`vmnet.kernel.files`) and syntax (`vmnet.formats.config`).
Privilege: read permission.
"""

from __future__ import annotations

from vmnet.errors import ConfigError, InvalidInput
from vmnet.formats.config import PATH, Config, parse_config
from vmnet.kernel.files import read_trusted


def load(path: str | None = None) -> Config:
    """Return the configuration; an empty one if the usual file is not there.

    Raises:
        InvalidInput: the name is empty.
        ConfigError: it cannot be used, or a named file is not there.
    """
    if path is not None and not path:
        raise InvalidInput(
            "the configuration's name is an empty text, and no file",
            code="bad-config-path",
            remedy=f"give --config FILE, or leave --config out for {PATH}",
        )
    text = read_trusted(path or PATH)
    if text is not None:
        return parse_config(text, path or PATH)
    if path is not None:
        raise ConfigError(
            f"{path}: no such file", code="config", remedy="name another with --config"
        )
    return Config()
