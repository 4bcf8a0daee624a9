# SPDX-License-Identifier: BSD-2-Clause
"""Writes cpio archives in the "newc" format, device nodes included, without being root."""
import stat


class Archive:
    def __init__(self):
        self.parts = []
        self.inode = 0

    def _member(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        encoded = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0]
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        for piece in (header + encoded, data):
            self.parts.append(piece + b"\0" * (-len(piece) % 4))

    def file(self, name, data, mode=0o644):
        self._member(name, stat.S_IFREG | mode, data)

    def directory(self, name):
        self._member(name, stat.S_IFDIR | 0o755)

    def symlink(self, name, target):
        self._member(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name, major, minor):
        self._member(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def finish(self):
        """The archive's bytes, padded to the 512 bytes that cpio pads to."""
        self._member("TRAILER!!!", 0)
        archive = b"".join(self.parts)
        return archive + b"\0" * (-len(archive) % 512)
