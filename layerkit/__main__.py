"""``python -m layerkit`` is the command ``layerkit``."""

import sys

from layerkit.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
