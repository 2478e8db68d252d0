"""Inception's features against clean-fid's own path, on a stand-in for the weights that are called in the same way."""

import dataclasses
import hashlib
import socket
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cleanfid.features
import cleanfid.fid
import numpy as np
import pytest
import torch
from cleanfid.resize import build_resizer
from PIL import Image
from torch import nn

from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.evaluation import inception
from fromnoise.evaluation.features import features
from fromnoise.evaluation.score import Comparison, score
from fromnoise.say import captured

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


class Layers(nn.Module):
    """From normalised 299×299 RGB to `length` features that depend on fine detail: pooled only after a ReLU."""

    def __init__(self, length: int):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 7, stride=4)
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.linear = nn.Linear(128, length)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.pool(self.conv(x).relu()).flatten(1)).relu()


class StandIn(nn.Module):
    """What clean-fid calls: `layers`, and the whole with `return_features`."""

    def __init__(self, length: int = 2048):
        super().__init__()
        self.layers = Layers(length)

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return self.layers((x - 128) / 128)


def save(module: nn.Module, path: Path) -> Path:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.1)
    torch.jit.save(torch.jit.script(module), str(path))
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save(StandIn(), tmp_path_factory.mktemp("weights") / "stand-in.pt")


@pytest.fixture
def published(weights, monkeypatch, tmp_path):
    """A world in which the stand-in is what NVIDIA publishes; returns where clean-fid's copy would lie."""
    place = tmp_path / "cache" / inception.NAME
    monkeypatch.setattr(inception, "place", lambda: place)
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(weights.read_bytes()).hexdigest())
    return place


def pictures(n, channels, height, width, seed=0):
    random = np.random.default_rng(seed)
    smooth = torch.from_numpy(random.uniform(0, 255, (n, channels, 5, 5)))
    noisy = nn.functional.interpolate(smooth, (height, width), mode="bicubic").numpy()
    return torch.from_numpy((noisy + random.normal(0, 30, noisy.shape)).clip(0, 255).astype(np.uint8))


def write(images, folder):
    folder.mkdir()
    for k, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        Image.fromarray(image.squeeze()).save(folder / f"{k:03}.png")


SHAPES = [(1, 28, 28), (3, 32, 32), (3, 40, 64), (1, 299, 299), (3, 310, 301)]


@pytest.mark.parametrize("shape", SHAPES)
def test_images_are_prepared_as_clean_fid_prepares_files(shape, tmp_path):
    images = pictures(3, *shape)
    write(images, tmp_path / "png")
    theirs = cleanfid.fid.ResizeDataset(sorted((tmp_path / "png").iterdir()), mode="clean")
    prepared = inception.prepare(images)
    assert prepared.shape == (3, 3, 299, 299)
    assert prepared.is_contiguous()
    for ours, their in zip(prepared, theirs, strict=True):
        assert torch.equal(ours, their)


def test_nothing_is_rounded_and_nothing_leaves_the_range():
    """Against Pillow's bicubic in floating point, called here by hand on one channel."""
    image = pictures(1, 1, 28, 28)
    by_hand = Image.fromarray(image[0, 0].numpy().astype(np.float32)).resize((299, 299), Image.Resampling.BICUBIC)
    prepared = inception.prepare(image)[0]
    assert np.array_equal(prepared[1].numpy(), np.asarray(by_hand).clip(0, 255))
    assert (prepared != prepared.round()).any()
    assert np.array_equal(prepared[0], build_resizer("clean")(image[0].permute(1, 2, 0).numpy().repeat(3, 2))[..., 0])


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_features_are_those_of_clean_fid_on_png_files(shape, weights, tmp_path, monkeypatch):
    images = pictures(21, *shape)
    write(images, tmp_path / "png")
    # clean-fid's own builder, which looks into the working folder on one system and into /tmp on the others
    (tmp_path / inception.NAME).write_bytes(weights.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cleanfid.features.platform.system", lambda: "Windows")
    cpu = torch.device("cpu")
    model = cleanfid.features.build_feature_extractor("clean", cpu, use_dataparallel=False)
    theirs = cleanfid.fid.get_folder_features(
        str(tmp_path / "png"), model, num_workers=0, batch_size=8, device=cpu, mode="clean", verbose=False
    )
    ours = features("inception", weights=weights)(images)
    assert ours.shape == (21, 2048)
    assert np.abs(theirs).max() > 1
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-5, atol=1e-5)


def test_features_do_not_depend_on_the_batch(weights):
    extract = features("inception", weights=weights)
    images = pictures(13, 1, 28, 28)
    by_five = dataclasses.replace(extract, batch=5)(images)
    torch.testing.assert_close(by_five, extract(images), rtol=1e-5, atol=1e-5)


def test_grey_is_read_as_rgb_of_three_equal_channels(weights):
    extract = features("inception", weights=weights)
    grey = pictures(4, 1, 28, 28)
    assert torch.equal(extract(grey), extract(grey.expand(-1, 3, -1, -1)))


def test_a_report_tells_which_weights_these_are(weights):
    extract = features("inception", weights=weights)
    assert extract.name == "inception"
    assert extract.dimension == 2048
    assert extract.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert not extract.known
    assert "bicubic" in extract.resizing
    assert "299×299" in extract.resizing
    assert extract.colour == "RGB; grey repeated; RGBA on mid-grey"


@pytest.mark.slow
def test_a_score_in_2048_features_is_json_and_says_what_it_lacks(weights):
    extract = features("inception", weights=weights)
    generated, reference = (ImageSet(f"set {seed}", pictures(50, 1, 28, 28, seed)) for seed in (1, 2))
    report = score(Comparison(generated, reference), extract).plain()
    assert report["metrics"]["fid"]["value"] > 0
    assert report["protocol"]["features"]["sha256"] == extract.sha256
    assert any("too few for 2048 features" in note for note in report["notes"])


def test_the_published_weights_are_known(weights, published):
    assert features("inception", weights=weights).known


def test_the_place_is_clean_fids(monkeypatch):
    places = []

    class Recorder(nn.Identity):
        def __init__(self, path, download, resize_inside):
            super().__init__()
            places.append(Path(path))

    monkeypatch.setattr(cleanfid.features, "InceptionV3W", Recorder)
    for system in ("Linux", "Darwin", "Windows"):
        monkeypatch.setattr("cleanfid.features.platform.system", lambda system=system: system)
        cleanfid.features.build_feature_extractor("clean", torch.device("cpu"), use_dataparallel=False)
        assert inception.place() == places[-1] / "inception-2015-12-05.pt"


def test_clean_fids_own_copy_is_used(weights, published):
    published.parent.mkdir()
    published.write_bytes(weights.read_bytes())
    images = pictures(2, 1, 28, 28)
    extract = features("inception")
    assert extract.known
    assert torch.equal(extract(images), features("inception", weights=weights)(images))


def test_a_foreign_file_in_the_shared_place_is_not_run(published):
    """Anybody may write to /tmp: what is there and is not the published file must be named to be loaded."""
    published.parent.mkdir()
    save(StandIn(2000), published)
    with pytest.raises(UserError, match=r"is damaged, or not the file .* download that file and pass it as --weights$"):
        features("inception")


def serve(body, length=None):
    """A server on this machine that sends `body` to whoever asks."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(length or len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=partial(server.serve_forever, poll_interval=0.01), daemon=True).start()
    return server


@pytest.fixture
def served(monkeypatch):
    servers = []

    def start(body, length=None):
        servers.append(serve(body, length))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(inception, "URL", f"http://127.0.0.1:{servers[-1].server_port}/{inception.NAME}")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_missing_weights_are_downloaded_once(weights, published, served):
    served(weights.read_bytes())
    with captured() as told:
        extract = features("inception")
    assert extract.known
    assert published.read_bytes() == weights.read_bytes()
    assert [path.name for path in published.parent.iterdir()] == [inception.NAME]
    assert told == [f"downloading Inception's weights, 96 MB, to {published} ..."]
    with captured() as told:
        features("inception")
    assert told == []


def test_a_download_that_breaks_off_leaves_nothing(weights, published, served):
    served(weights.read_bytes()[:5000], length=weights.stat().st_size)
    with pytest.raises(UserError, match="could not be downloaded"):
        features("inception")
    assert not published.exists()


def test_a_page_in_the_way_is_not_taken_for_the_weights(published, served):
    served(b"<html>please log in</html>")
    with pytest.raises(UserError, match=r"could not be downloaded \(invalid hash value"):
        features("inception")
    assert not published.exists()


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_without_a_network_one_line_says_where_to_get_the_weights(published, monkeypatch):
    def refuse(url, place, **settings):
        raise OSError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(UserError) as refused:
        features("inception")
    assert one_line(refused) == (
        f"Inception's weights are not at {published} and could not be downloaded (Name or service not known): download "
        "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt and pass "
        "it as --weights FILE"
    )


def test_a_network_that_never_answers_is_given_up_within_seconds(published, monkeypatch):
    assert inception.SECONDS <= 10
    monkeypatch.setattr(inception, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(inception, "URL", f"http://127.0.0.1:{silent.getsockname()[1]}/{inception.NAME}")
        start = time.perf_counter()
        with pytest.raises(UserError, match=r"could not be downloaded .*timed out"):
            features("inception")
        assert time.perf_counter() - start < 5
    assert socket.getdefaulttimeout() is None
    assert list(published.parent.iterdir()) == []


class NoLayers(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_files_that_are_not_inception_are_refused_in_one_line(tmp_path):
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "empty.pt").write_bytes(b"")
    save(StandIn(2000), tmp_path / "short.pt")
    save(NoLayers(), tmp_path / "other.pt")
    for name in ("text.pt", "empty.pt", "short.pt", "other.pt"):
        with pytest.raises(UserError, match="is not Inception as clean-fid has it") as refused:
            features("inception", weights=tmp_path / name)
        assert str(tmp_path / name) in one_line(refused)


@pytest.mark.parametrize("name", ["missing.pt", "."])
def test_a_file_that_is_not_there_is_said(tmp_path, name):
    with pytest.raises(UserError, match=r"cannot be read .* Inception's weights are at https://nvlabs"):
        features("inception", weights=tmp_path / name)
