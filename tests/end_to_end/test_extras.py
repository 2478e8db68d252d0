"""The optional libraries: each test needs its extra, which `make test-all` installs."""

import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.slow


def test_an_exported_denoiser_says_what_the_model_says(finished, fromnoise, process, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    process("export", finished / "run", "model.onnx", cwd=tmp_path)
    fromnoise("export", finished / "run", "model.onnx", cwd=tmp_path, code=2)
    from fromnoise.experiment.find import find_model
    from fromnoise.generation.model import Model

    model = Model.load(find_model(finished / "run"))
    x, logsnr, label = torch.randn(5, 1, 16, 16), torch.linspace(-6, 6, 5), torch.tensor([0, 3, 9, 10, 10])
    with torch.inference_mode():
        encoded, levels = model.info.encode_noisy(x, logsnr.double())
        x0, noise = model.denoiser()(encoded, levels, label)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(["x0", "noise"], {"x": x.numpy(), "logsnr": logsnr.numpy(), "label": label.numpy()})
    for ours, theirs in zip((model.info.pixels(x0), noise), found, strict=True):
        np.testing.assert_allclose(theirs, ours.numpy(), atol=2e-4)


def test_curves_for_tensorboard_have_the_logs_losses(fromnoise, tmp_path):
    pytest.importorskip("tensorboard")
    fromnoise("train", "--preset", "tiny", "--steps", "10", "--tensorboard", "--out", "run", cwd=tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload().Scalars("loss")
    records = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [event.step for event in events] == [record["step"] for record in records] == list(range(1, 11))
    assert [event.value for event in events] == pytest.approx([record["loss"] for record in records])


def test_the_page_is_served_and_draws(finished, tmp_path):
    client = pytest.importorskip("gradio_client")
    import httpx  # gradio's own

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "fromnoise", "ui", str(finished / "run"), "--port", str(port), "--device", "cpu"]
    said = tmp_path / "said.txt"
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *words], stdout=output, stderr=output, env=os.environ | {"TMPDIR": str(temporary)}
        )
    try:
        deadline = time.monotonic() + 300  # importing takes its time beside another test
        while True:
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=60).close()
                break
            except OSError:
                time.sleep(0.3)
        page = client.Client(f"http://127.0.0.1:{port}/", verbose=False)
        picture = page.predict(4, 0, "3", 1.0, "ddim", 2, api_name="/sample")
        assert os.path.getsize(picture if isinstance(picture, str) else picture["path"]) > 100
        upload = httpx.post(f"http://127.0.0.1:{port}/gradio_api/upload", files={"files": b"any web page's"})
        assert upload.status_code == 413
        kept = [file for file in temporary.rglob("*") if file.is_file()]
        assert len(kept) == 1  # the picture
        assert all(place.stat().st_mode & 0o077 == 0 for place in temporary.iterdir())
    finally:
        process.terminate()
        code = process.wait(timeout=30)
    assert code == 130
    assert not list(temporary.iterdir())
