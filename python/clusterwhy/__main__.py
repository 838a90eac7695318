"""``python -m clusterwhy`` is the command ``clusterwhy``."""

from clusterwhy.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
