"""Prints the authorisation matrix with its counts: every operation, and as whom it is tried (tests/sweeps/matrix.py).

python tools/authorisation_matrix.py            print it
python tools/authorisation_matrix.py --write    write docs/authorisation-matrix.md
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the page instead of printing it")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.sweeps.matrix import PAGE, page

    if options.write:
        (ROOT / PAGE).write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
