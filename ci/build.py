# SPDX-License-Identifier: BSD-2-Clause
"""./dev build: the board image, or the presets named."""
import argparse

import common
from common import ALL_PRESETS, Failure, build_preset


def main(words):
    parser = argparse.ArgumentParser(
        prog="./dev build", description="Builds presets of CMakePresets.json into build/PRESET.",
        epilog=f"Presets: {', '.join(ALL_PRESETS)}; \"all\" is all of them.")
    parser.add_argument("presets", nargs="*", metavar="PRESET", help="board-x86_64 if none is named")
    presets = parser.parse_args(words).presets or ["board-x86_64"]
    if presets == ["all"]:
        presets = ALL_PRESETS
    for preset in presets:
        if preset not in ALL_PRESETS:
            raise Failure(f"no such preset: {preset} (known: {', '.join(ALL_PRESETS)})", 2)
    for preset in presets:
        print(build_preset(preset).relative_to(common.ROOT))
    return 0


if __name__ == "__main__":
    common.main(main)
