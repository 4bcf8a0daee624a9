# SPDX-License-Identifier: BSD-2-Clause
"""rom.py ROM KERNEL PART...: sets an option ROM's last byte so that all of them add up to 0, and cuts
the kernel into parts of at most 128 KiB: what Bochs can put into memory in one piece."""
import pathlib
import sys

PART = 128 << 10


def main(rom, kernel, *parts):
    """All files."""
    path = pathlib.Path(rom)
    data = path.read_bytes()[:-1]
    path.write_bytes(data + bytes([-sum(data) & 0xff]))
    data = pathlib.Path(kernel).read_bytes()
    if len(data) > PART * len(parts):
        sys.exit(f"rom.py: {kernel}: {len(data)} bytes, should be at most {PART * len(parts)}")
    for number, part in enumerate(parts):
        # None may be empty.
        pathlib.Path(part).write_bytes(data[number * PART:(number + 1) * PART] or bytes(16))


main(*sys.argv[1:])
