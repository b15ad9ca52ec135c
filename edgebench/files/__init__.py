"""Files on this machine: written whole or not at all, cached, and read strictly."""
