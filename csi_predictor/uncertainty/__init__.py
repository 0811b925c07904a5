"""How far an answer can be trusted: calibration, spread, prediction sets and triage."""
