"""The only room that writes results."""
