"""What is particular to one kind of data: how samples are drawn, and what they are scored by."""
