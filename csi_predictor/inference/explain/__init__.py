"""Where in a picture a network's answer comes from."""
