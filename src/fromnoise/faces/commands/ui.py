"""`fromnoise ui`."""

import os
import time
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Annotated

from fromnoise.errors import UserError
from fromnoise.faces.arguments import Device, ModelSource, Threads
from fromnoise.limits import Limits
from fromnoise.say import say


@dataclass(frozen=True)
class UiArguments:
    """Sample interactively on a local web page: seed, class, sampler, steps (extra: ui). Works offline.

    fromnoise ui runs/digits
    """

    source: ModelSource
    port: Annotated[int, Limits(1, 65535)] = 7860
    """Port on 127.0.0.1."""
    device: Device = "auto"
    threads: Threads = None


def main(arguments: UiArguments) -> None:
    """Serve until Ctrl-C."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    with TemporaryDirectory() as private:  # gradio's own folder for images is everybody's
        os.environ["GRADIO_TEMP_DIR"] = private
        _serve(arguments)


def _serve(arguments: UiArguments) -> None:
    from fromnoise.experiment.find import load_model
    from fromnoise.faces.live_page import build

    port = arguments.port
    page = build(load_model(arguments.source, arguments.device, arguments.threads))
    try:
        where = {"server_name": "127.0.0.1", "server_port": port, "share": False}
        # Any web page may send files to a server on this machine: this one takes none.
        page.launch(**where, quiet=True, prevent_thread_lock=True, max_file_size=1)
    except (OSError, OverflowError) as error:
        raise UserError(f"port {port} is not available: choose another with --port") from error
    say(f"http://127.0.0.1:{port} (Ctrl-C to stop)")
    try:
        while True:  # Gradio's own waiting takes Ctrl-C for a normal end
            time.sleep(60)
    finally:
        page.close(verbose=False)
