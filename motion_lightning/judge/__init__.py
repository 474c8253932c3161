"""Pages on which people judge clips, and what their answers say."""
