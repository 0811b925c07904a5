"""Two radiographs to a map of change: the longitudinal family."""
