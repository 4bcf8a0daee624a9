# SPDX-License-Identifier: BSD-2-Clause
"""./dev clean: removes what was built."""
import argparse
import shutil

import common
from common import BUILD


def main(words):
    parser = argparse.ArgumentParser(prog="./dev clean", description="Removes build/.")
    parser.add_argument("--keep-guest", action="store_true", help="keep the fetched guest kernel")
    options = parser.parse_args(words)
    if not BUILD.is_dir():
        return 0
    for entry in BUILD.iterdir():
        if options.keep_guest and entry.name == "guest":
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    return 0


if __name__ == "__main__":
    common.main(main)
