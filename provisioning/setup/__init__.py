"""Set-up of a bare machine: Python environment, Docker engine, images."""
