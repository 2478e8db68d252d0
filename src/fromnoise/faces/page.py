"""The live page: draw images by hand, and see what seed, class, sampler and steps do."""

import dataclasses
from typing import Any

import torch
from PIL import Image

from fromnoise.data.pictures import grid
from fromnoise.diffusion.samplers import SAMPLERS
from fromnoise.errors import UserError
from fromnoise.extras import extra
from fromnoise.generation.draw import Drawing, draw_all, guidance_of, own_precision, takes_guidance
from fromnoise.generation.model import Model

ANY = "any"


def draw_grid(
    model: Model, device: torch.device, n: float, seed: float, label: str, guidance: float, sampler: str, steps: float
) -> Image.Image:
    """One grid, as the page's controls say; raises UserError for what the model cannot do."""
    own = model.config.sampling
    eta = own.eta if sampler == own.sampler else 0.0
    settings = dataclasses.replace(own, sampler=sampler, sampling_steps=int(steps), eta=eta)  # type: ignore[arg-type]
    wanted = None if label == ANY else int(label)
    strength = guidance if takes_guidance(model) else None
    drawing = Drawing(
        int(n),
        int(seed or 0),
        label=wanted,
        guidance=strength,
        precision=own_precision(model, device),
        sampler=settings,
    )
    return grid(draw_all(model, drawing, device))


def build(model: Model, device: torch.device) -> Any:
    """The page as Gradio Blocks, not yet served."""
    gradio = extra("gradio", "ui")
    own, classes = model.config.sampling, model.shape.classes

    def draw(*controls: Any) -> Image.Image:
        try:
            return draw_grid(model, device, *controls)
        except UserError as error:
            raise gradio.Error(str(error)) from error

    with gradio.Blocks(title="fromnoise", analytics_enabled=False) as page:
        gradio.Markdown("# fromnoise\nImage k of a seed is the same however many are drawn with it.")
        with gradio.Row():
            with gradio.Column():
                n = gradio.Slider(1, 100, 16, step=1, label="images")
                seed = gradio.Number(0, precision=0, label="seed")
                kind = "cluster" if model.shape.clustered else "class"
                label = gradio.Dropdown([ANY, *map(str, range(classes))], value=ANY, label=kind, visible=classes > 0)
                weight = guidance_of(model, own)
                least, most = min(1.0, weight), max(4.0, weight)
                guidance = gradio.Slider(
                    least, most, weight, step=0.05, label="guidance", visible=takes_guidance(model)
                )
                sampler = gradio.Dropdown(list(SAMPLERS), value=own.sampler, label="sampler")
                steps = gradio.Slider(1, max(100, own.sampling_steps), own.sampling_steps, step=1, label="steps")
                button = gradio.Button("Draw", variant="primary")
            picture = gradio.Image(label="images", format="png", interactive=False)
        button.click(draw, [n, seed, label, guidance, sampler, steps], picture, api_name="draw")
    return page
