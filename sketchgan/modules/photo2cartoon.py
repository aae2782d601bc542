"""photo2cartoon: U-GAT-IT for portraits that must stay recognisable."""

from torch import Tensor, nn

from sketchgan.losses import AdversarialLoss, AdversarialMode, FaceIdentityLoss
from sketchgan.modules.ugatit import UGATIT
from sketchgan.networks import Attended, Photo2CartoonGenerator, UGATITDiscriminator


class Photo2Cartoon(UGATIT):
    """Turn aligned portraits (A) into cartoons (B) and back, held to the same face by a face recogniser.

    Minivision AI: Photo to Cartoon, 2020, https://github.com/minivision-ai/photo2cartoon (there is no paper). U-GAT-IT
    with hourglasses, Soft-AdaLIN and one term more; pictures are prepared by ``sketchgan faces``.

    Args:
        generator_ab: maps A to B; default ``Photo2CartoonGenerator(light=light, image_size=image_size)``.
        generator_ba: maps B to A; default likewise.
        global_a: scores images of domain A as a whole; default ``UGATITDiscriminator(ndf=32, n_layers=7)``.
        local_a: scores patches of them; default ``UGATITDiscriminator(ndf=32, n_layers=5)``.
        global_b: the same for domain B; default as ``global_a``.
        local_b: the same for domain B; default as ``local_a``.
        light: default generators of 3.8 instead of 71 million weights each, for pictures of any size.
        image_size: side of the square pictures of the default generators, if not ``light``.
        adversarial: name of the adversarial loss, or an `AdversarialLoss` without gradient penalty.
        lambda_gan: weight of the adversarial terms, in both updates.
        lambda_cycle: weight of the cycle terms.
        lambda_identity: weight of the identity terms.
        lambda_cam: weight of the generators' auxiliary classifiers.
        lambda_face: weight of the distance between the face before and after translation, in both directions; 0 leaves
            the face network out altogether, which its authors advise where training gets unstable.
        face_weights: weights of the face network, a local file; see `sketchgan.losses.FaceIdentityLoss`.
        face_network: another face network, ``(N, 3, 112, 112)`` in [-1, 1] to features; never trained nor saved.
        face_bgr: show it blue first, as the public weights were trained; the official code shows red first.
        rho_clip: upper limit of the shares of instance norm.
        w_clip: upper limit of the shares of content in Soft-AdaLIN.
        lr: learning rate of both Adam optimizers.
        betas: Adam's coefficients.
        weight_decay: Adam's, added to the gradients of all weights.
        fused: run Adam as one kernel; by default unless the precision is "16-mixed".
        n_iterations: batches at the full rate.
        n_iterations_decay: batches of linear decay to zero; 0 for none.
        clip_g: largest gradient norm of both generators together; none by default.
        clip_d: largest gradient norm of all discriminators together; none by default.

    Shapes: A and B ``(N, 3, H, W)`` in [-1, 1], sides multiples of 16.

    Raises:
        ValueError: for unknown names, and for a loss with gradient penalty.
        FileNotFoundError: before training, if the face network's weights are not there.
    """

    def __init__(
        self,
        generator_ab: nn.Module | None = None,
        generator_ba: nn.Module | None = None,
        global_a: nn.Module | None = None,
        local_a: nn.Module | None = None,
        global_b: nn.Module | None = None,
        local_b: nn.Module | None = None,
        light: bool = True,
        image_size: int = 256,
        adversarial: AdversarialMode | AdversarialLoss = "lsgan",
        lambda_gan: float = 1.0,
        lambda_cycle: float = 50.0,
        lambda_identity: float = 10.0,
        lambda_cam: float = 1000.0,
        lambda_face: float = 1.0,
        face_weights: str | None = None,
        face_network: nn.Module | None = None,
        face_bgr: bool = False,
        rho_clip: float = 1.0,
        w_clip: float = 1.0,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        weight_decay: float = 1e-4,
        fused: bool | None = None,
        n_iterations: int = 500_000,
        n_iterations_decay: int = 500_000,
        clip_g: float | None = None,
        clip_d: float | None = None,
    ) -> None:
        super().__init__(
            generator_ab=generator_ab,
            generator_ba=generator_ba,
            global_a=global_a,
            local_a=local_a,
            global_b=global_b,
            local_b=local_b,
            light=light,
            image_size=image_size,
            adversarial=adversarial,
            lambda_gan=lambda_gan,
            lambda_cycle=lambda_cycle,
            lambda_identity=lambda_identity,
            lambda_cam=lambda_cam,
            rho_clip=rho_clip,
            lr=lr,
            betas=betas,
            weight_decay=weight_decay,
            fused=fused,
            n_iterations=n_iterations,
            n_iterations_decay=n_iterations_decay,
            clip_g=clip_g,
            clip_d=clip_d,
        )
        self.lambda_face = lambda_face
        self.face = FaceIdentityLoss(face_network, face_weights, face_bgr)
        self.limits |= {"w_gamma": w_clip, "w_beta": w_clip}

    @staticmethod
    def default_generator(light: bool, image_size: int) -> nn.Module:
        return Photo2CartoonGenerator(light=light, image_size=image_size)

    @staticmethod
    def default_discriminator(n_layers: int) -> nn.Module:
        return UGATITDiscriminator(ndf=32, n_layers=n_layers)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and self.lambda_face:
            self.face.prepare()  # missing weights show before the first batch

    def generator_losses(
        self,
        real_a: Tensor,
        real_b: Tensor,
        same_a: Attended,
        same_b: Attended,
        fake_a: Attended,
        fake_b: Attended,
    ) -> dict[str, Tensor]:
        """Those of U-GAT-IT, and the distances of faces."""
        terms = super().generator_losses(real_a, real_b, same_a, same_b, fake_a, fake_b)
        if self.lambda_face:
            terms["face_a"] = self.lambda_face * self.face(real_a, fake_b.image)
            terms["face_b"] = self.lambda_face * self.face(real_b, fake_a.image)
        return terms
