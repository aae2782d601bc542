"""The preparation of portraits: the official numbers step by step, then folders, networks and files."""

import math
import sys
import types
import urllib.error
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import assert_close, golden
from PIL import Image
from torch import Tensor, nn

from sketchgan.data import (
    PictureError,
    align_face,
    face_landmarks,
    person_masks,
    portrait_input,
    portrait_output,
    prepare_faces,
    read_landmarks,
)
from sketchgan.data.faces import Box, crop_box, mask_of, moved, on_white, rotation, warp
from sketchgan.ops import resize_area

WHITE = (255.0, 255.0, 255.0)


def channels_first(picture: Tensor) -> Tensor:
    return picture.permute(2, 0, 1)


@pytest.fixture(scope="module")
def official() -> dict[str, Tensor]:
    return golden("photo2cartoon_preprocess").tensors


# Step by step


@pytest.mark.parametrize("case", "01")
def test_rotation_matches_official(official, case):
    picture = channels_first(official[f"in.image{case}"])
    matrix, canvas = rotation(official[f"in.landmarks{case}"], *picture.shape[1:])
    turned = moved(official[f"in.landmarks{case}"], matrix)
    assert_close(turned, official[f"out.landmarks_rotated{case}"], 1e-5)
    assert abs(turned[36, 1] - turned[45, 1]) < 1e-4
    assert torch.equal(warp(picture, matrix, canvas, WHITE), channels_first(official[f"out.rotated{case}"]))


@pytest.mark.parametrize("case", "01")
def test_crop_matches_official(official, case):
    box = crop_box(official[f"out.landmarks_rotated{case}"])
    expected = channels_first(official[f"out.crop{case}"])
    assert expected.shape == (3, box.height, box.width)
    picture, landmarks = channels_first(official[f"in.image{case}"]), official[f"in.landmarks{case}"]
    assert torch.equal(align_face(picture, landmarks), expected)


def test_what_follows_the_crop_matches_official(official):
    crop = channels_first(official["out.crop0"])
    seen = channels_first(official["out.rgba"])[:3]
    assert torch.equal(seen, crop)
    pixels = resize_area(crop, 384, 384).double() / 255
    picked = [pixels.mean(), pixels.std(correction=0), pixels[0, 0, 0], pixels[1, 191, 191], pixels[2, 383, 383]]
    assert_close(torch.stack(picked), official["out.seg_input_stat"], 1e-12)
    means = pixels.unflatten(2, (32, 12)).unflatten(1, (32, 12)).mean((2, 4))
    assert_close(means, channels_first(official["out.seg_input_32"]), 1e-7)
    mask = mask_of(official["in.prob"].squeeze(-1), *crop.shape[1:])
    assert torch.equal(mask[0], official["out.mask"])
    whole = torch.cat([crop, mask])
    assert torch.equal(whole, channels_first(official["out.rgba"]))
    assert torch.equal(on_white(whole), channels_first(official["out.white_background"]))


def test_inference_matches_official():
    tensors = golden("photo2cartoon_inference").tensors
    x, mask = portrait_input(channels_first(tensors["in.rgba"]))
    assert x.dtype == torch.float32
    assert torch.equal(x[..., ::8, ::8], tensors["out.net_input_every8"])
    made = portrait_output(torch.tanh(2 * x), mask)
    assert torch.equal(made.flip(0), channels_first(tensors["out.cartoon_bgr_u8"]))


@pytest.mark.parametrize(
    ("eyes", "angle"),
    [((1, 0), 0), ((1, 1), 45), ((1, -1), -45), ((-1, 1), -45), ((-1, -1), 45), ((0, 1), 90), ((0, -1), -90)],
)
def test_angle_is_the_arc_tangent_of_the_slope(eyes, angle):
    landmarks = torch.zeros(68, 2)
    landmarks[45] = torch.tensor(eyes) * 10.0
    matrix, canvas = rotation(landmarks, 40, 30)
    assert math.degrees(math.asin(matrix[0, 1])) == pytest.approx(angle, abs=1e-5)
    assert abs(moved(landmarks, matrix)[[36, 45], 1].diff()) < 1e-5
    if abs(angle) == 90:
        assert (canvas.height, canvas.width) == (30, 40)


def test_a_box_of_the_turned_picture_is_the_same_box_of_the_whole(official):
    picture = channels_first(official["in.image0"])
    matrix, canvas = rotation(official["in.landmarks0"], *picture.shape[1:])
    whole = warp(picture, matrix, canvas, WHITE)
    assert torch.equal(warp(picture, matrix, Box(7, 11, 30, 20), WHITE), whole[:, 7:37, 11:31])


def test_masks_are_turned_along_and_empty_outside(official):
    picture, landmarks = channels_first(official["in.image1"]), official["in.landmarks1"]
    mask = torch.full_like(picture[:1], 255)
    made = align_face(torch.cat([picture, mask]), landmarks, outside=(*WHITE, 0))
    assert torch.equal(made[:3], align_face(picture, landmarks))
    assert made[3, 0, 0] == 0  # this crop leaves the picture
    assert (made[3] == 255).any()


@pytest.mark.parametrize("size", [(5, 7), (20, 14), (10, 14), (40, 30), (5, 30)])
def test_resizing_keeps_flat_pictures_flat(size):
    assert torch.equal(resize_area(torch.full((2, 10, 14), 77, dtype=torch.uint8), *size), torch.full((2, *size), 77))


def test_shrinking_averages():
    columns = torch.tensor([[[0, 30, 60, 90, 120, 150]]], dtype=torch.uint8)
    assert resize_area(columns, 1, 4).tolist() == [[[10, 50, 100, 140]]]  # one and a half old pixels each
    assert resize_area(columns, 1, 6).tolist() == columns.tolist()
    square = torch.tensor([[[0, 1], [0, 1]]], dtype=torch.uint8)
    assert resize_area(square, 1, 1).item() == 1  # 0.5 goes up where both sides are halved


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda points: points[:5], r"landmarks are 68 points \(x, y\), got the shape \(5, 2\)"),
        (lambda points: points * float("nan"), "landmarks hold NaN or infinite values"),
        (lambda points: points * 100, "landmarks lie far outside the picture of 100x120 pixels"),
        (lambda points: points / 100, "landmarks span .* pixels; they must be in pixels of the picture"),
    ],
)
def test_landmarks_of_no_face_are_refused(official, change, message):
    with pytest.raises(ValueError, match=message):
        align_face(channels_first(official["in.image0"]), change(official["in.landmarks0"]))


# Folders


@pytest.fixture
def photos(official) -> Path:
    """Two photographs with landmarks, one in a sub-folder."""
    for name, case in (("first", "0"), ("more/second", "1")):
        for folder in ("photos", "landmarks"):
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(official[f"in.image{case}"].numpy()).save(f"photos/{name}.png")
        np.save(f"landmarks/{name}.npy", official[f"in.landmarks{case}"].numpy())
    return Path("photos")


def load(path: str) -> Tensor:
    return channels_first(torch.from_numpy(np.array(Image.open(path))))


def half(portrait: Tensor) -> Tensor:
    """A mask: the person is in the left half."""
    mask = torch.zeros_like(portrait[:1])
    mask[..., : portrait.shape[-1] // 2] = 255
    return mask


def test_a_folder_with_landmarks_from_files(photos, official):
    assert prepare_faces(photos, "out", landmarks="landmarks", keep_background=True) == []
    assert torch.equal(load("out/first.png"), channels_first(official["out.crop0"]))
    assert torch.equal(load("out/more/second.png"), channels_first(official["out.crop1"]))


def test_masks_from_a_function(photos, official):
    crop = channels_first(official["out.crop0"])
    prepare_faces("photos/first.png", "white", landmarks="landmarks", masks=half)
    prepare_faces("photos/first.png", "rgba", landmarks="landmarks/first.npy", masks=half, rgba=True, size=64)
    white, rgba = load("white/first.png"), load("rgba/first.png")
    assert torch.equal(white[..., :42], crop[..., :42])
    assert (white[..., 42:] == 255).all()
    assert torch.equal(rgba, resize_area(torch.cat([crop, half(crop)]), 64, 64))


def test_masks_from_files_and_from_transparency_are_turned_along(photos, official):
    picture, landmarks = channels_first(official["in.image0"]), official["in.landmarks0"]
    mask = half(picture)
    expected = align_face(torch.cat([picture, mask]), landmarks, outside=(*WHITE, 0))
    Path("masks").mkdir()
    Image.fromarray(mask[0].numpy()).save("masks/first.webp", lossless=True)
    prepare_faces("photos/first.png", "files", landmarks="landmarks", masks="masks", rgba=True)
    assert torch.equal(load("files/first.png"), expected)
    cut_out = torch.cat([picture, mask]).permute(1, 2, 0).numpy()
    Image.fromarray(cut_out).save("first.png")
    prepare_faces("first.png", "alpha", landmarks="landmarks")
    assert torch.equal(load("alpha/first.png"), on_white(expected))
    Image.fromarray(cut_out).save("masks/first.webp", lossless=True)  # a cut-out is as good as a mask
    prepare_faces("photos/first.png", "cut-out", landmarks="landmarks", masks="masks", rgba=True)
    assert torch.equal(load("cut-out/first.png"), expected)


def test_full_opacity_is_no_mask(photos, official, monkeypatch):
    seen = []
    monkeypatch.setattr("sketchgan.data.face_files.person_masks", lambda device: lambda p: seen.append(p) or half(p))
    Image.open("photos/first.png").convert("RGBA").save("first.png")
    prepare_faces("first.png", "out", landmarks="landmarks")
    assert torch.equal(seen[0], channels_first(official["out.crop0"]))


def test_the_largest_face_is_taken(photos, official):
    face = official["in.landmarks0"]
    faces = [face * 0.5, face, face * 0.7]
    prepare_faces("photos/first.png", "out", landmarks=lambda picture: faces, keep_background=True)
    assert torch.equal(load("out/first.png"), channels_first(official["out.crop0"]))


def test_what_cannot_be_prepared_is_left_out_and_named(photos, official):
    Path("photos/broken.jpg").write_bytes(b"nothing")
    for name in ("empty", "alone", "odd"):
        Image.new("RGB", (100, 120)).save(f"photos/{name}.png")
    np.save("landmarks/odd.npy", np.zeros((5, 2)))
    np.save("landmarks/empty.npy", official["in.landmarks0"].numpy() * 1000)
    problems = prepare_faces(photos, "out", landmarks="landmarks", keep_background=True)
    assert sorted(path.name for path in Path("out").rglob("*.png")) == ["first.png", "second.png"]
    for named, message in zip(("alone.png: ", "broken.jpg ", "empty.png: ", "odd.npy "), problems, strict=True):
        assert named in message
    assert "there is no file of landmarks with the name alone" in problems[0]
    with pytest.raises(ValueError, match=r"no portrait could be made:\nphotos/first.png: no face was found"):
        prepare_faces("photos/first.png", "none", landmarks=lambda picture: None, keep_background=True)


def test_masks_that_do_not_fit_are_named(photos):
    Path("masks").mkdir()
    Image.new("L", (30, 20)).save("masks/first.png")
    with pytest.raises(ValueError, match=r"masks/first.png and its picture are 30x20 and 100x120 pixels"):
        prepare_faces("photos/first.png", "out", landmarks="landmarks", masks="masks")
    Path("masks/first.png").unlink()
    with pytest.raises(ValueError, match="there is no file of mask with the name first"):
        prepare_faces("photos/first.png", "out", landmarks="landmarks", masks="masks")


def test_nothing_is_overwritten_silently(photos, official):
    Path("out").mkdir()
    Image.new("L", (1, 1)).save("out/first.png")
    options = {"landmarks": "landmarks", "keep_background": True}
    with pytest.raises(FileExistsError, match=r"out/first.png exists; write to another folder, or overwrite"):
        prepare_faces(photos, "out", **options)
    assert not Path("out/more").exists()
    prepare_faces(photos, "out", **options, overwrite=True)
    assert load("out/first.png").shape == (3, 84, 84)
    with pytest.raises(FileExistsError, match="out/first.png exists, and 1 more"):
        prepare_faces(photos, "out", **options)
    for out in ("photos/out", "photos"):
        with pytest.raises(ValueError, match=f"{out} is inside photos"):
            prepare_faces(photos, out, **options, overwrite=True)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"keep_background": True, "rgba": True}, ValueError, "keep_background makes no masks"),
        ({"keep_background": True, "masks": "masks"}, ValueError, "keep_background makes no masks"),
        ({"size": 0}, ValueError, "size must be positive, got 0"),
        ({"landmarks": "landmarks/first.npy"}, ValueError, "first.npy is one file for 2 pictures; give a folder"),
        ({"landmarks": "nowhere"}, FileNotFoundError, "no folder nowhere"),
        ({"landmarks": "landmarks", "masks": "nowhere"}, FileNotFoundError, "no folder nowhere"),
    ],
)
def test_wrong_arguments(photos, options, error, message):
    with pytest.raises(error, match=message):
        prepare_faces(photos, "out", **options)


def test_two_files_for_one_picture_are_refused(photos):
    Path("landmarks/first.txt").touch()
    with pytest.raises(ValueError, match=r"landmarks/first.npy and landmarks/first.txt are for one picture"):
        prepare_faces(photos, "out", landmarks="landmarks")


def test_16_bits_and_grey(official):
    grey = official["in.image0"][..., 0].numpy()
    Image.fromarray(grey.astype(np.uint16) * 257).save("deep.png")
    Image.fromarray(grey).save("grey.png")
    find = lambda picture: [official["in.landmarks0"]]  # noqa: E731
    prepare_faces(["deep.png", "grey.png"], "out", landmarks=find, keep_background=True)
    assert torch.equal(load("out/deep.png"), load("out/grey.png"))
    assert load("out/grey.png").shape == (3, 84, 84)


# Landmarks in files


POINTS = torch.arange(136.0, dtype=torch.float64).view(68, 2) / 4


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "\n".join(f"{x},{y}" for x, y in POINTS.tolist())),
        ("a.txt", "".join(f"{x} {y}\n" for x, y in POINTS.tolist())),
        (
            "a.pts",
            "version: 1\nn_points: 68\n{\n" + "".join(f"{x + 1} {y + 1}\n" for x, y in POINTS.tolist()) + "}\n",
        ),
    ],
)
def test_landmarks_are_read_from_text(name, text):
    Path(name).write_text(text)
    assert torch.equal(read_landmarks(name), POINTS)


def test_landmarks_are_read_from_arrays():
    np.save("a.npy", POINTS.numpy().astype(np.float32))
    assert torch.equal(read_landmarks("a.npy"), POINTS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"1 2\n3\n", r"a\.txt cannot be read as landmarks"),
        ("a.csv", b"x,y\n1,2\n", r"a\.csv cannot be read as landmarks: could not convert string to float: 'x'"),
        ("a.npy", b"nothing", r"a\.npy cannot be read as landmarks"),
        ("a.pts", b"1 2\n", r"a\.pts holds \(0,\) numbers where landmarks are 68 points"),
        ("a.txt", b"\xff\xfe\x00", r"a\.txt cannot be read as landmarks"),
    ],
)
def test_broken_landmarks_are_named(name, content, message):
    Path(name).write_bytes(content)
    with pytest.raises(PictureError, match=message):
        read_landmarks(name)


def test_landmarks_are_never_unpickled():
    np.save("a.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(PictureError, match="cannot be read as landmarks: Object arrays"):
        read_landmarks("a.npy")


# Networks, with others in their places


class Detector:
    """What the face-alignment package has, in the place of its class."""

    def __init__(self, landmarks_type, device, **options) -> None:
        assert (landmarks_type, device) == ("2D", "cpu")
        assert options == {"flip_input": False, "face_detector": "sfd", "compile": False}

    def get_landmarks_from_image(self, picture):
        """A face at the pixels that are not black: its corners."""
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        ys, xs = np.nonzero(picture[..., 0] > 127)
        if not len(ys):
            warnings.warn("No faces were detected.", stacklevel=1)
            return None
        corners = [[xs.min(), ys.min()], [xs.max(), ys.max()]]
        return [np.array(corners * 34, dtype=np.float32)]


@pytest.fixture
def face_alignment(monkeypatch):
    package = types.SimpleNamespace(FaceAlignment=Detector, LandmarksType=types.SimpleNamespace(TWO_D="2D"))
    monkeypatch.setitem(sys.modules, "face_alignment", package)
    return package


@pytest.mark.parametrize(("height", "width"), [(90, 110), (2100, 1400)])
def test_landmarks_from_the_package(face_alignment, height, width):
    picture = torch.zeros(3, height, width, dtype=torch.uint8)
    picture[:, height // 2 : height // 2 + 40, width // 4 : width // 4 + 60] = 255
    (points,) = face_landmarks()(picture)
    expected = torch.tensor([[width // 4, height // 2], [width // 4 + 59, height // 2 + 39]] * 34)
    shrunk = max(height, width) > 1024
    assert_close(points, expected.float(), 1.5 if shrunk else 0)


def test_no_face_is_no_warning(face_alignment):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert face_landmarks()(torch.zeros(3, 20, 30, dtype=torch.uint8)) == []


def test_without_the_package_the_error_says_what_to_install(photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(ImportError, match=r"pip install 'sketchgan\[faces\]'\); or give them as files"):
        prepare_faces(photos, "out")


def test_offline_the_errors_name_addresses_places_and_remedies(face_alignment, monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(face_alignment, "FaceAlignment", offline)
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(
        FileNotFoundError, match=r"cannot download \S+s3fd\S+ and .*2DFAN4.* or give landmarks as files"
    ):
        face_landmarks()
    with pytest.raises(FileNotFoundError, match=r"cannot download \S+deeplabv3\S+ .* or give masks, or keep the back"):
        person_masks()(torch.zeros(3, 20, 20, dtype=torch.uint8))


def test_masks_of_people(monkeypatch):
    """The person's probability, at the portrait's size; the weights are asked for once."""
    asked = []

    class Segmentation(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            assert x.shape == (1, 3, 520, 520)
            logits = torch.zeros(1, 21, 52, 52)
            logits[:, 15, :, :26] = 100  # Pascal VOC's person
            logits[:, 0, :, 26:] = 100
            return {"out": logits}

    def build(weights):
        asked.append(weights)
        return Segmentation()

    monkeypatch.setattr("torchvision.models.segmentation.deeplabv3_resnet50", build)
    cut = person_masks()
    assert asked == []
    for _ in range(2):
        mask = cut(torch.zeros(3, 40, 40, dtype=torch.uint8))
    assert (mask.shape, mask.dtype) == ((1, 40, 40), torch.uint8)
    assert (mask[..., :19] >= 254).all()  # cut off, not rounded
    assert (mask[..., 21:] == 0).all()
    assert len(asked) == 1
