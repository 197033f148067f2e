"""Vocabularies and beam search."""
