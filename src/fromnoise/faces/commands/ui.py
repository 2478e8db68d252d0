"""`fromnoise ui`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fromnoise.errors import UserError
from fromnoise.faces.arguments import Device, Threads, parse


@dataclass(frozen=True)
class UiArguments:
    """A page on this machine to draw images by hand: seed, class, sampler, steps (extra: ui). No network needed.

    fromnoise ui runs/digits
    """

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder, a checkpoint in it, a model.safetensors file, or digits, the packaged model."""
    port: int = 7860
    """Port on 127.0.0.1."""
    device: Device = "auto"
    """Where to compute."""
    threads: Threads = None
    """CPU threads to use; default: all, and fewer while other processes are busy."""


def main(words: Sequence[str]) -> int:
    """Serve until Ctrl-C; returns the exit code."""
    arguments = parse(UiArguments, words, "ui")
    if not 1 <= arguments.port <= 65535:
        raise UserError(f"--port {arguments.port}: a port is a number from 1 to 65535")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

    from fromnoise.experiment.find import find_model
    from fromnoise.faces.console import say
    from fromnoise.faces.page import build
    from fromnoise.generation.model import Model
    from fromnoise.training.device import alone

    model = Model.load(find_model(arguments.source))
    page = build(model, alone(arguments.device, arguments.threads).device)
    try:
        page.launch(
            server_name="127.0.0.1", server_port=arguments.port, share=False, quiet=True, prevent_thread_lock=True
        )
    except (OSError, OverflowError) as error:
        raise UserError(f"port {arguments.port} cannot be had: choose another with --port") from error
    say(f"http://127.0.0.1:{arguments.port} (Ctrl-C to stop)")
    page.block_thread()
    return 0
