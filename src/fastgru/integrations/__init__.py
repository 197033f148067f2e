"""Other programs' ways to a layer: replacing, patching, exporting, privacy."""
