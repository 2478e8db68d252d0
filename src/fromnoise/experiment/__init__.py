"""What a run is: its training, validation, choice of guidance, score, and how one is found again."""
