"""What networks and engines cost on this machine: plan, rounds, records."""
