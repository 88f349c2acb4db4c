"""Picture files of every kind: right, or refused in words; nothing is waited for."""

import os

import numpy as np
import pytest
from PIL import Image

from cmr.data.pictures import READ_ERRORS, read_rgb, size_of


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_become_their_upper_eight(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    values = np.array([[0, 255, 256], [0x1234, 0xFF00, 0xFFFF]], np.uint16)
    Image.fromarray(values).save(path)
    assert np.array(read_rgb(path))[..., 0].tolist() == [[0, 0, 1], [0x12, 0xFF, 0xFF]]


@pytest.mark.parametrize(("values", "said"), [(np.float32(0.5), "floating-point"), (np.int32(70_000), "32-bit")])
def test_values_of_unknown_range_are_refused(tmp_path, values, said):
    Image.fromarray(np.full((2, 2), values)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=said):
        read_rgb(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("side", [1, 7])
def test_every_mode_is_rgb(tmp_path, mode, side):
    path = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png")
    Image.new("RGB", (side, side), (255, 255, 255)).convert(mode).save(path)
    picture = read_rgb(path)
    assert (picture.mode, picture.size) == ("RGB", (side, side))
    assert min(picture.getpixel((0, 0))) >= 253


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65535])
def test_size_and_pixels_are_turned_alike(tmp_path, orientation, ending):
    path, exif = tmp_path / f"a.{ending}", Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (8, 4)).save(path, exif=exif)
    turned = (4, 8) if orientation in (5, 6, 7, 8) else (8, 4)
    assert read_rgb(path).size == size_of(path) == turned
    as_stored = turned if ending == "tif" else (8, 4)  # PIL turns a TIFF, asked or not
    assert read_rgb(path, upright=False).size == size_of(path, upright=False) == as_stored


def test_of_an_animation_the_first_frame(tmp_path):
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("white", "black")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_rgb(tmp_path / "a.gif").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for read in (read_rgb, size_of):
        with pytest.raises(OSError, match="not a regular file"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\0" * 30])
def test_what_is_broken_raises_one_of_the_known_errors(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(READ_ERRORS):
        read_rgb(tmp_path / "a.png")


@pytest.mark.parametrize("error", [RuntimeError("bad tile"), NotImplementedError("kind 7"), MemoryError()])
def test_whatever_a_decoder_raises_is_a_read_error(tmp_path, monkeypatch, error):
    def fails(self):
        raise error

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", lambda self, mode: fails(self))
    with pytest.raises(READ_ERRORS, match="its decoder fails: (bad tile|kind 7|MemoryError)"):
        read_rgb(tmp_path / "a.png")
