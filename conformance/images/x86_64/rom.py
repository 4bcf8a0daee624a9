# SPDX-License-Identifier: BSD-2-Clause
"""rom.py FILE: sets an option ROM's last byte so that all of them add up to 0."""
import pathlib
import sys

path = pathlib.Path(sys.argv[1])
data = path.read_bytes()[:-1]
path.write_bytes(data + bytes([-sum(data) & 0xff]))
