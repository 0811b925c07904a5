"""One file for each section of the INI: keys, types, limits, defaults and meanings."""
