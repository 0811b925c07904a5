"""Procedural thoraces: the embedded radiographs, and the seed of CT phantoms and change pairs."""
