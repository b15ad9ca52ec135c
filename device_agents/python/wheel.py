"""A wheel that is unpacked, and says how far that is."""

import zipfile


class Wheel(zipfile.ZipFile):
    def __init__(self, path, did):
        """did(n): is told of n more bytes that were unpacked, also in the middle of a large file."""
        super().__init__(path)
        self._did_bytes = did

    def open(self, *arguments, **options):
        stream = super().open(*arguments, **options)
        read = stream.read

        def counted(size=-1):
            data = read(size)
            self._did_bytes(len(data))
            return data

        stream.read = counted
        return stream
