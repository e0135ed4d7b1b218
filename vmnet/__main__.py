"""`python -m vmnet`: the same as the command."""

from __future__ import annotations

from vmnet.entry.cli import main

if __name__ == "__main__":
    main()
