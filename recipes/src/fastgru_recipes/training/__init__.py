"""From data to a trained recipe in its directory."""
