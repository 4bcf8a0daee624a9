# SPDX-License-Identifier: BSD-2-Clause
"""./dev format: formats the C files in place."""
import argparse
import subprocess

import common
import lint


def main(words):
    argparse.ArgumentParser(prog="./dev format",
                            description="Formats all C files with .clang-format.").parse_args(words)
    subprocess.run(["clang-format", "-i", *map(str, lint.c_files())], check=True)
    return 0


if __name__ == "__main__":
    common.main(main)
