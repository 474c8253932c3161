"""Corpora, their memory-mapped stores, and the batches made from them."""
