"""`python -m fromnoise`, also under `accelerate launch`."""

import sys

from fromnoise.faces.cli import main

sys.exit(main())
