"""The steps that modes are made of: where the rooms meet."""
