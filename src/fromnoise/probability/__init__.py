"""Where the story begins: Gaussians, expectations and risks, divergences, and the first generative model, a normal."""
