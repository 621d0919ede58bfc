"""Start of ``python3 -m swin_edu``. Even Python 2 can read this file, and is told what would work."""

import sys

if __name__ == "__main__":
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        sys.exit(
            "swin_edu was started with Python %d.%d; it needs Python 3.11, 3.12, 3.13 or 3.14, "
            "for instance: python3.12 -m swin_edu" % sys.version_info[:2]
        )

    from swin_edu.book.command import main

    sys.exit(main())
