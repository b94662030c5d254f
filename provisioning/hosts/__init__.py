"""Ways to be a host, behind one protocol."""
