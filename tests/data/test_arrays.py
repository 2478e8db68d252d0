import io
import pickle
import re
import struct
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.lib import format as npy

from fromnoise.data import arrays, sources
from fromnoise.errors import UserError
from fromnoise.say import captured


class Trap:
    """Unpickling it creates a file: proof that something was unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "images.npz"


def grey(n=4):
    return np.random.default_rng(0).integers(0, 256, (n, 6, 5, 1), np.uint8)


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 6, 5), (1, 1, 1)])
def test_images_and_labels_come_back_as_they_were(path, make_images, shape):
    images, labels = make_images(9, shape), torch.arange(9) % 3
    arrays.save(path, images, labels)
    back = arrays.load(path)
    assert back.name == str(path)
    assert torch.equal(back.images, images)
    assert torch.equal(back.labels, labels)
    assert back.labels.dtype == torch.int64


def test_images_without_labels_come_back_without(path, make_images):
    arrays.save(path, make_images(3))
    assert arrays.load(path).labels is None


def test_the_file_is_what_evaluation_scripts_read(path, make_images):
    images = make_images(3, (3, 6, 5))
    arrays.save(path, images)
    with np.load(path) as file:
        assert file.files == ["arr_0"]
        assert file["arr_0"].shape == (3, 6, 5, 3)
        assert np.array_equal(file["arr_0"][1, 2, 3], images[1, :, 2, 3])


def test_a_file_is_written_where_it_was_asked_for(tmp_path, make_images):
    images = make_images(3)
    arrays.save(tmp_path / "new" / "images.data", images)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["images.data"]
    assert torch.equal(arrays.load(tmp_path / "new" / "images.data").images, images)


def test_grey_images_need_no_channel_axis(path):
    np.savez(path, arr_0=grey()[..., 0])
    assert np.array_equal(arrays.load(path).images[:, 0], grey()[..., 0])


def test_the_array_may_be_called_images_but_arr_0_goes_first(path):
    np.savez(path, images=grey())
    assert np.array_equal(arrays.load(path).images[:, 0], grey()[..., 0])
    np.savez(path, images=grey(), arr_0=255 - grey())
    assert np.array_equal(arrays.load(path).images[:, 0], 255 - grey()[..., 0])


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(grey() * 1j, id="complex"),
        pytest.param(grey(1).repeat(9, axis=3).repeat(2, axis=1), id="nine channels"),
        pytest.param(grey()[:, 0, :, 0], id="two axes"),
        pytest.param(grey()[None], id="five axes"),
    ],
)
def test_an_array_that_is_not_images_is_refused(path, images):
    np.savez(path, arr_0=images)
    told = f"{path}: 'arr_0' is {images.dtype} {images.shape}; images must be numbers, N×H×W, N×H×W×C or N×C×H×W"
    with pytest.raises(UserError, match=re.escape(told)):
        arrays.load(path)


def test_masks_of_truth_values_are_black_and_white(path):
    np.savez(path, arr_0=grey() > 127)
    images = arrays.load(path)
    assert torch.equal(images.images.unique(), torch.tensor([0, 255], dtype=torch.uint8))
    assert images.range is None


def test_a_file_without_the_array_is_told_what_it_has(path):
    np.savez(path, x_train=grey(), y_train=np.zeros(4))
    with pytest.raises(UserError, match="no array 'arr_0' or 'images'; it has: x_train, y_train"):
        arrays.load(path)


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros(4),
        np.array([0, 1, -1, 2]),
        np.zeros((4, 2), int),
        np.array(1),
        np.zeros(3, int),
        np.array(list("abcd")),
    ],
    ids=["float", "negative", "two axes", "one number", "too few", "text"],
)
def test_bad_labels_are_refused(path, labels):
    np.savez(path, arr_0=grey(), labels=labels)
    with pytest.raises(UserError, match="labels"):
        arrays.load(path)


@pytest.mark.parametrize("labels", [{}, {"labels": np.zeros(0, int)}], ids=["without", "with none"])
def test_no_images_are_refused(path, labels):
    np.savez(path, arr_0=grey(0), **labels)
    with pytest.raises(UserError, match="no images"):
        arrays.load(path)


@pytest.mark.parametrize("key", ["arr_0", "labels"])
def test_a_pickled_array_is_refused_and_never_loaded(tmp_path, path, key):
    trap = np.array([Trap(tmp_path / "sprung")] * 4, dtype=object)
    np.savez(path, **{"arr_0": grey(), key: trap})
    with pytest.raises(UserError, match="not a readable"):
        arrays.load(path)
    assert not (tmp_path / "sprung").exists()


def test_a_bare_pickle_is_refused_and_never_loaded(tmp_path, path):
    path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(UserError, match="not a readable"):
        arrays.load(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive at all"], ids=["empty", "stub", "text"])
def test_a_foreign_file_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a readable"):
        arrays.load(path)


def test_one_bare_array_under_the_other_name_is_refused(path):
    with path.open("wb") as file:
        np.save(file, grey())
    with pytest.raises(UserError, match="not a readable"):
        arrays.load(path)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npy_file_is_one_array_of_images(tmp_path, order):
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), np.uint8)
    np.save(tmp_path / "images.npy", np.asarray(images, order=order))
    back = arrays.load(tmp_path / "images.npy")
    assert np.array_equal(back.images.permute(0, 2, 3, 1).numpy(), images)
    assert back.labels is None


def test_a_cut_or_pickled_npy_file_is_refused_and_never_loaded(tmp_path):
    path = tmp_path / "images.npy"
    np.save(path, np.array([Trap(tmp_path / "sprung")] * 4, dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="pickled"):
        arrays.load(path)
    assert not (tmp_path / "sprung").exists()
    np.save(path, grey())
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(UserError, match="not a readable"):
        arrays.load(path)


def test_guided_diffusions_labels_are_read_and_other_second_arrays_are_said(path):
    labels = np.array([3, 0, 1, 3])
    np.savez(path, grey(), labels)
    assert arrays.load(path).labels.tolist() == labels.tolist()
    np.savez(path, grey(), grey())
    with captured() as said:
        assert arrays.load(path).labels is None
    assert said[0].endswith("arrays not read: arr_1 (labels are one whole number for each image)")
    np.savez(path, grey(), labels - 1)
    with pytest.raises(UserError, match="'arr_1' must be one whole number from 0"):
        arrays.load(path)


def test_numbers_are_read_only_where_there_are_no_images(path):
    mean, covariance = np.arange(3, dtype=np.float32), np.asfortranarray(np.arange(9).reshape(3, 3))
    np.savez(path, mu=mean, sigma=covariance)
    found = arrays.numbers(path, ("mu", "sigma"))
    assert np.array_equal(found[0], mean)
    assert np.array_equal(found[1], covariance)
    with pytest.raises(UserError, match="statistics can only be the reference"):
        arrays.load(path)
    assert arrays.numbers(path, ("mu", "cov")) is None
    np.savez(path, grey(), mu=mean, sigma=covariance)  # guided-diffusion's reference batches
    assert arrays.numbers(path, ("mu", "sigma")) is None
    np.savez(path, mu=np.array(["a"]), sigma=covariance)
    with pytest.raises(UserError, match="'mu' holds no numbers"):
        arrays.numbers(path, ("mu", "sigma"))


def test_a_missing_file_is_refused(path):
    with pytest.raises(UserError, match=re.escape(str(path))):
        arrays.load(path)


def test_a_cut_file_is_refused_wherever_it_is_cut(path, make_images):
    arrays.save(path, make_images(4))
    raw = path.read_bytes()
    for end in range(0, len(raw), 7):
        path.write_bytes(raw[:end])
        with pytest.raises(UserError):
            arrays.load(path)


def test_no_damaged_byte_gives_other_images_or_another_error(path, make_images):
    images = make_images(2, (1, 6, 6))
    arrays.save(path, images, torch.arange(2))
    raw, refused = path.read_bytes(), 0
    for k in range(len(raw)):
        path.write_bytes(raw[:k] + bytes([raw[k] ^ 0x55]) + raw[k + 1 :])
        try:
            assert torch.equal(arrays.load(path).images, images)  # the byte did not matter: a date, say
        except UserError:
            refused += 1
    assert refused > len(raw) / 2


def write_npz(path, headers, values=b"", method=zipfile.ZIP_STORED):
    """An .npz file of arrays with these headers' text, as NumPy lays them out."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, text in headers.items():
            file.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + values)


def described(shape, descr="'|u1'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n"


NONSENSE = [
    "",
    "{",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 6, 5, 1)",
    "(" * 9000,
    "-" * 9000 + "1",
    "{'a':" * 1500,
    "\x00" * 50,
    "'" * 3,
    "{'descr': '|u1'}",
    "__import__('os').abort()",
    described("(-4, 6, 5, 1)"),
    described("(4, 6, -5, -1)"),
    described("(4.0, 6, 5, 1)"),
    described(f"({10**18}, 6, 5, 1)"),
    described(f"({10**400}, 6, 5, 1)"),
    described("(" + "1, " * 100 + ")"),
    described("(4, 6, 5, 1)", "'|V99999999999'"),
    described("(4, 6, 5, 1)", "'nonsense'"),
    described("(4, 6, 5, 1)", "[('a', '|u1', (9999999999,))]"),
    described("(4, 6, 5, 1)", "'|O'"),
    described("(4, 6, 5, 1)") + " " * 60_000,
]


@pytest.mark.parametrize("header", NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("key", ["arr_0", "labels"])
@pytest.mark.filterwarnings("ignore:Reading")
def test_a_nonsensical_header_is_refused_by_name_in_one_line(path, header, key):
    write_npz(path, {"arr_0": described("(4, 6, 5, 1)"), key: header}, bytes(120))
    with pytest.raises(UserError, match=re.escape(str(path))) as refused:
        arrays.load(path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_an_array_larger_than_its_bytes_can_be_is_refused_before_there_is_memory_for_it(path):
    write_npz(path, {"arr_0": described("(1000000000, 32, 32, 1)")}, bytes(1000))
    with pytest.raises(UserError, match="does not have the length that its header gives"):
        arrays.load(path)
    # The archive's directory may lie too.
    zipped = SimpleNamespace(namelist=list, getinfo=lambda name: info, open=lambda info: io.BytesIO(header.getvalue()))
    header, info = io.BytesIO(), zipfile.ZipInfo("arr_0.npy")
    npy.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 32, 32, 1)})
    info.file_size, info.compress_size = header.tell() + 10**9 * 1024, 10_000
    with pytest.raises(ValueError, match="10,000 bytes claim to hold"):
        arrays._entry(zipped, "arr_0")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_numpy_does_not_write_is_refused(path, method):
    write_npz(path, {"arr_0": described("(4, 6, 5, 1)")}, bytes(120), method)
    with pytest.raises(UserError, match="compressed in a way that NumPy does not write"):
        arrays.load(path)


def test_an_encrypted_file_is_refused(path):
    write_npz(path, {"arr_0": described("(4, 6, 5, 1)")}, bytes(120))
    raw = bytearray(path.read_bytes())
    raw[6] |= 1
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(UserError, match="not a readable"):
        arrays.load(path)


@pytest.mark.parametrize("shape", [(4, 0, 5, 1), (4, 6, 0, 3), (4, 0, 0)])
def test_images_without_a_pixel_are_refused(path, shape):
    np.savez(path, arr_0=np.zeros(shape, np.uint8))
    with pytest.raises(UserError, match="no images"):
        arrays.load(path)


def test_images_in_fortran_order_come_back_as_they_were(path, make_images):
    images = make_images(5, (3, 6, 5))
    np.savez(path, arr_0=np.asfortranarray(images.permute(0, 2, 3, 1).numpy()))
    assert torch.equal(arrays.load(path).images, images)


def medical(labels=None, side=6, channels=()):
    """The arrays of a file of MedMNIST's, with a column of labels."""
    random, arrays = np.random.default_rng(0), {}
    for part, n in (("train", 8), ("val", 3), ("test", 4)):
        arrays[f"{part}_images"] = random.integers(0, 256, (n, side, side, *channels), np.uint8)
        arrays[f"{part}_labels"] = (np.arange(n) % 3)[:, None].astype(np.uint8) if labels is None else labels(n)
    return arrays


@pytest.mark.parametrize("channels", [(), (3,)])
def test_medmnists_parts_are_read_one_after_another_and_kept(path, channels):
    held = medical(channels=channels)
    np.savez_compressed(path, **held)
    with captured() as said:
        images = arrays.load(path)
    pixels = np.concatenate([held[f"{part}_images"] for part in ("train", "val", "test")])
    found = images.images.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(found if channels else found[..., 0], pixels)
    assert images.labels.tolist() == [k % 3 for n in (8, 3, 4) for k in range(n)]
    assert images.parts == ("train",) * 8 + ("val",) * 3 + ("heldout",) * 4
    colour = "RGB" if channels else "grey"
    assert said == [f"{path}: 15 images, 3 classes, {colour}, 6×6; in parts of its own: 8 train, 3 val, 4 heldout"]


def test_medmnists_parts_are_those_that_are_trained_on_and_held_out(path):
    held = medical()
    np.savez(path, **held)
    for part, theirs in (("train", "train"), ("val", "val"), ("heldout", "test")):
        images = sources.load(f"{path}:{part}")
        assert images.name == f"{path}:{part}"
        assert np.array_equal(images.images[:, 0], held[f"{theirs}_images"])
    assert sources.load(str(path), (12, 12)).shape == (1, 12, 12)


def test_several_labels_an_image_are_no_classes(path):
    np.savez(path, **medical(lambda n: np.zeros((n, 14), np.uint8)))
    with captured() as said:
        assert arrays.load(path).labels is None
    assert said[0].endswith("arrays not read: test_labels, train_labels, val_labels")


def test_labels_in_a_column_are_labels(path):
    np.savez(path, arr_0=grey(), labels=np.array([[0], [1], [0], [2]]))
    assert arrays.load(path).labels.tolist() == [0, 1, 0, 2]


def test_stretched_arrays_are_said_to_be(path):
    np.savez(path, arr_0=grey())
    with captured() as said:
        arrays.load(path, (8, 24))
    assert "stretched to other proportions" in said[0]
