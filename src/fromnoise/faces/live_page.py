"""The live page: sample interactively, and see the effect of seed, class, sampler and steps."""

from typing import Any

from PIL import Image

from fromnoise.data.pictures import grid
from fromnoise.diffusion.samplers import SAMPLERS
from fromnoise.errors import UserError
from fromnoise.experiment.sample import sampled
from fromnoise.extras import extra
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import guidance_of

ANY = "any"


def build(model: Model) -> Any:
    """The page as Gradio Blocks, not yet served."""
    gradio = extra("gradio", "ui")
    own, classes, guided = model.config.sampling, model.info.classes, bool(model.info.classes)

    def show(n: float, seed: float, label: str, guidance: float, sampler: str, steps: float) -> Image.Image:
        try:
            how: dict[str, Any] = {"guidance": guidance if guided else None, "sampler": sampler}
            which = None if label == ANY else int(label)
            found = sampled(model, n=int(n), seed=int(seed or 0), label=which, sampling_steps=int(steps), **how)
            return grid(found.images)
        except UserError as error:
            raise gradio.Error(str(error)) from error

    with gradio.Blocks(title="fromnoise", analytics_enabled=False) as page:
        gradio.Markdown("# fromnoise\nFor a given seed, image k is the same, however many are sampled.")
        with gradio.Row():
            with gradio.Column():
                n = gradio.Slider(1, 100, 16, step=1, label="images")
                seed = gradio.Number(0, precision=0, label="seed")
                kind = "cluster" if model.info.clustered else "class"
                choices = [(ANY, ANY), *((model.info.called(k), str(k)) for k in range(classes))]
                label = gradio.Dropdown(choices, value=ANY, label=kind, visible=classes > 0)
                weight = guidance_of(model, own)
                least, most = min(1.0, weight), max(4.0, weight)
                guidance = gradio.Slider(least, most, weight, step=0.05, label="guidance", visible=guided)
                sampler = gradio.Dropdown(list(SAMPLERS), value=own.sampler, label="sampler")
                steps = gradio.Slider(1, max(100, own.sampling_steps), own.sampling_steps, step=1, label="steps")
                button = gradio.Button("Sample", variant="primary")
            picture = gradio.Image(label="images", format="png", interactive=False)
        button.click(show, [n, seed, label, guidance, sampler, steps], picture, api_name="sample")
    return page
