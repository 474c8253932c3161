"""Numbers that say how good motions are; each names what it measures and in which unit."""
