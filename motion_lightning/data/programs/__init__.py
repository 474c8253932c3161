"""The embedded corpus: motion programs that make captioned motions whose answer is known."""
