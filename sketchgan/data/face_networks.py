"""Networks of others that see faces and people in pictures."""

import functools
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as F

from sketchgan.data.faces import mask_of
from sketchgan.networks.pretrained import fetched

FAN = "https://www.adrianbulat.com/downloads/python-fan/"
DETECTION_SIDE = 1024  # in larger pictures faces are looked for in a smaller copy: time and memory grow with the area

FindFaces = Callable[[Tensor], Sequence[Tensor] | None]
"""A uint8 picture ``(3, H, W)`` to the landmarks ``(68, 2)`` of each face in it."""

CutOut = Callable[[Tensor], Tensor]
"""A uint8 portrait ``(3, S, S)`` to its uint8 mask ``(1, S, S)``, 255 for the person."""


def face_landmarks(device: str = "cpu") -> FindFaces:
    """The face-alignment package's landmarks (FAN, Bulat and Tzimiropoulos, 2017, arXiv 1703.07332).

    Raises:
        ImportError: without the package.
        FileNotFoundError: if its weights cannot be downloaded.
    """
    try:
        import face_alignment
    except ImportError as error:
        raise ImportError(
            "landmarks are found by the package face-alignment (pip install 'sketchgan[faces]'); or give them as files"
        ) from error
    network = fetched(
        lambda: face_alignment.FaceAlignment(
            face_alignment.LandmarksType.TWO_D, device=device, flip_input=False, face_detector="sfd", compile=False
        ),
        f"{FAN}s3fd-619a316812.pth",
        f"{FAN}2DFAN4-11f355bf06.pth.tar",
        otherwise="give landmarks as files",
    )

    def find(picture: Tensor) -> list[Tensor]:
        height, width = picture.shape[-2:]
        shrink = max(1.0, max(height, width) / DETECTION_SIDE)
        size = [max(1, round(side / shrink)) for side in (height, width)]
        small = F.resize(picture, size, antialias=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No faces were detected")
            found = network.get_landmarks_from_image(small.permute(1, 2, 0).contiguous().numpy())
        scale = torch.tensor([width / small.shape[-1], height / small.shape[-2]])
        return [(torch.as_tensor(points) + 0.5) * scale - 0.5 for points in found or ()]

    return find


def person_masks(device: str = "cpu") -> CutOut:
    """Masks of people by torchvision's DeepLabV3 with a ResNet-50 (arXiv 1706.05587), trained on a part of COCO.

    The weights are loaded by the first call, which raises a FileNotFoundError if they cannot be downloaded.
    """
    from torchvision.models import segmentation

    weights = segmentation.DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1
    prepared = weights.transforms()
    person = weights.meta["categories"].index("person")

    @functools.cache
    def network() -> nn.Module:
        return fetched(
            lambda: segmentation.deeplabv3_resnet50(weights=weights).eval().to(device),
            weights.url,
            otherwise="give masks, or keep the background",
        )

    @torch.no_grad()
    def cut(portrait: Tensor) -> Tensor:
        logits = network()(prepared(portrait).unsqueeze(0).to(device))["out"]
        return mask_of(logits.softmax(1)[0, person].cpu(), *portrait.shape[-2:])

    return cut


def largest_face(faces: Sequence[Tensor] | None) -> Tensor:
    """The landmarks with the largest box around them.

    Raises:
        ValueError: if there are none.
    """
    if faces is None or not len(faces):
        raise ValueError("no face was found")
    return max(faces, key=lambda points: (points.amax(0) - points.amin(0)).prod().item())
