"""One call as data: what users pass, checked, and everything below takes it."""
