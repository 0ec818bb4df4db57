"""``python -m dit4sr.native``: where the C interface lies, and how it is compiled."""

from __future__ import annotations

from dit4sr.runtime.native.cli import main

if __name__ == "__main__":
    main()
