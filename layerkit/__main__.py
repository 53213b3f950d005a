"""Where the command ``layerkit`` begins, and ``python -m layerkit``."""

import sys

__all__ = ["main"]


def main() -> int:
    """Runs the command line, and returns its exit code; Ctrl-C while it is still imported ends as at any other time."""
    try:
        from layerkit.cli import main as command_line

        return command_line()
    except KeyboardInterrupt:
        print("layerkit: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
