"""What is wrong with a corpus: checks of its files, motions, captions and splits, and a page of the worst clips."""
