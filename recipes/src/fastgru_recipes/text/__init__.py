"""Tokens, and sequences of them."""
