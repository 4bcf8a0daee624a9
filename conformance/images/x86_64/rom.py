# SPDX-License-Identifier: BSD-2-Clause
"""rom.py ROM NEW [WORD...]: the option ROM with a command line, its bytes adding up to 0."""
import pathlib
import sys

LINE = 0x800  # as in rom.S


def with_line(data, line):
    """The ROM's bytes with a command line of at most 2 KiB."""
    text = line.encode() + b"\0"
    if LINE + len(text) >= len(data):
        raise ValueError(f"a command line of {len(text)} bytes: at most {len(data) - LINE - 2} fit")
    data = data[:LINE] + text + bytes(len(data) - LINE - len(text))
    return data[:-1] + bytes([-sum(data[:-1]) & 0xff])


if __name__ == "__main__":
    rom = pathlib.Path(sys.argv[1]).read_bytes()
    pathlib.Path(sys.argv[2]).write_bytes(with_line(rom, " ".join(sys.argv[3:])))
