"""`python -m fromnoise`, also under `accelerate launch`."""

from fromnoise.faces.cli import start

start()
