"""Use of the layer in other programs: replacing, patching, exporting, privacy."""
