import numpy as np
import torch
from PIL import ImageFont

from fromnoise.data.pictures import GAP, ZOOM, captioned, grid, save_grid


def test_each_image_stands_in_its_place_doubled():
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 1, 4, 4) * 10
    picture = np.asarray(grid(images, columns=3))
    assert picture.shape == (2 * (8 + GAP) + GAP, 3 * (8 + GAP) + GAP)
    for k in range(6):
        top, left = GAP + k // 3 * (8 + GAP), GAP + k % 3 * (8 + GAP)
        assert (picture[top : top + ZOOM * 4, left : left + ZOOM * 4] == 10 * k).all()
    assert (picture == 128).sum() == picture.size - 6 * 64


def test_the_grid_is_as_near_to_a_square_as_fits():
    assert grid(torch.zeros(64, 1, 8, 8, dtype=torch.uint8)).size == (8 * 18 + 2, 8 * 18 + 2)
    assert grid(torch.zeros(5, 1, 8, 8, dtype=torch.uint8)).size == (3 * 18 + 2, 2 * 18 + 2)


def test_colour_stays_colour(tmp_path):
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    images[:, 0] = 255
    save_grid(tmp_path / "red.png", images)
    picture = np.asarray(grid(images))
    assert tuple(picture[5, 5]) == (255, 0, 0)
    assert (tmp_path / "red.png").stat().st_size > 0


def test_transparent_images_lie_on_a_light_chequerboard():
    images = torch.zeros(1, 4, 8, 8, dtype=torch.uint8)
    images[..., 4:, 4:] = torch.tensor([10, 20, 30, 255], dtype=torch.uint8)[:, None, None]
    picture = np.asarray(grid(images, gap=0, zoom=1))
    assert picture.shape == (8, 8, 3)
    assert (picture[:4, :4] == 255).all()
    assert (picture[:4, 4:] == 225).all()
    assert (picture[4:, :4] == 225).all()
    assert (picture[4:, 4:] == [10, 20, 30]).all()


def test_of_channels_without_colours_the_first_are_shown():
    images = (torch.arange(5, dtype=torch.uint8) * 10).view(1, 5, 1, 1).expand(1, 5, 8, 8)
    assert np.asarray(grid(images, gap=0))[0, 0].tolist() == [0, 10, 20]
    assert np.asarray(grid(images[:, 3:], gap=0))[0, 0] == 30


def test_a_caption_is_cut_to_the_width_of_its_image():
    images = torch.full((2, 1, 16, 16), 255, dtype=torch.uint8)
    short, long = (np.asarray(captioned(images, [text, ""], columns=2)) for text in ("cat", "a very long name indeed"))
    assert short.shape == long.shape
    for picture in (short, long):
        assert (picture[:, 36:] >= 128).all(), "nothing below the second image, which has no name"
        assert (picture < 60).any()
    assert np.array_equal(np.asarray(captioned(images, ())), np.asarray(grid(images)))


def test_letters_beyond_english_are_written():
    images = torch.full((1, 1, 32, 32), 255, dtype=torch.uint8)
    shown = {text: np.asarray(captioned(images, [text])).tobytes() for text in ("o", "ö", "ß", "ж", "λ")}
    assert len(set(shown.values())) == len(shown)


def test_a_long_caption_is_cut_at_once(monkeypatch):
    measured, real = [], ImageFont.FreeTypeFont.getlength
    monkeypatch.setattr(ImageFont.FreeTypeFont, "getlength", lambda *args: measured.append(args) or real(*args))
    images = torch.full((1, 1, 16, 16), 255, dtype=torch.uint8)
    long, longer = (np.asarray(captioned(images, ["ab " * n])) for n in (50, 5000))
    assert np.array_equal(long, longer)
    assert len(measured) < 500
