"""Street scenes: readers of the two layouts, the packed cache, the painter and the loader."""
