"""TA-VAAL: task-aware variational adversarial learning (Kim and others, 2021), as a dense form of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, mse_loss

from atal_ray.acquisition.fitted import LabelledBatch, RoundData
from atal_ray.acquisition.methods.llal import LossModule, PredictedLossConfig, resized
from atal_ray.acquisition.methods.method import Method
from atal_ray.acquisition.scores.pixel_score import Map, PixelScore
from atal_ray.acquisition.seen import Seen
from atal_ray.config.bounds import Count

SIDE, STRIDE = 128, 16
"""Of the images that the VAE sees, and of its cells in them."""
CELLS = SIDE // STRIDE


@dataclass(frozen=True, kw_only=True)
class UnlabelledConfig(PredictedLossConfig):
    """The loss module, the VAE and the discriminator."""

    path = "query.unlabelled"

    latent: Count = 32
    """z: channels of the code of a cell."""
    width: Count = 128
    """Channels of the first of four convolutions of the VAE; each has twice those of the one before."""
    beta: Annotated[float, Ge(0)] = 1.0
    """Weight of the Kullback-Leibler divergence."""
    rate: Annotated[float, Gt(0)] = 5e-4
    """Learning rate of Adam, of both."""
    epochs: Count = 5
    """Passes over the images."""
    batch_size: Count = 32
    """Images in a step."""
    most_images: Count = 10_000
    """Images of a pass, drawn at random where there are more."""


class RankModule(LossModule):
    """The loss module with the cross-entropy of sigmoid(p_i - p_j) instead of the hinge."""

    def rank(self, difference: Tensor, larger: Tensor) -> Tensor:
        """Mean of BCE(sigmoid(p_i - p_j), [l_i > l_j])."""
        return binary_cross_entropy_with_logits(difference, larger.to(difference.dtype))


class DenseVae(nn.Module):
    """A VAE whose code is a map: four convolutions of stride 2, and back; the decoder sees the ranks too."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        widths = [width * 2**power for power in range(4)]
        pairs = zip([3, *widths], widths, strict=False)
        self.encoder = nn.Sequential(
            *(part for a, b in pairs for part in _block(nn.Conv2d(a, b, 4, 2, 1), b))
        )
        self.mean, self.log_variance = nn.Conv2d(widths[-1], latent, 1), nn.Conv2d(widths[-1], latent, 1)
        self.start = nn.Conv2d(latent + 1, widths[-1], 1)
        back = zip(widths[::-1], [*widths[-2::-1], width], strict=True)
        self.decoder = nn.Sequential(
            *(part for a, b in back for part in _block(nn.ConvTranspose2d(a, b, 4, 2, 1), b)),
            nn.Conv2d(width, 3, 1),
        )

    def forward(self, images: Tensor, ranks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The image again [B, 3, 128, 128], and mean and log variance of its code [B, z, 8, 8].

        Args:
            images: [B, 3, 128, 128] in [0, 1].
            ranks: predicted losses [B, 1, 8, 8].
        """
        hidden = self.encoder(images)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden).clamp(-10, 10)
        code = mean + torch.randn_like(mean) * torch.exp(log_variance / 2)
        return self.decoder(self.start(torch.cat([code, torch.sigmoid(ranks)], 1))), mean, log_variance


class Discriminator(nn.Sequential):
    """Whether a cell holds a labelled pixel: three 1 x 1 convolutions of its code and its predicted loss."""

    def __init__(self, latent: int) -> None:
        super().__init__(
            nn.Conv2d(latent + 1, 512, 1), nn.ReLU(), nn.Conv2d(512, 512, 1), nn.ReLU(), nn.Conv2d(512, 1, 1)
        )


def _block(convolution: nn.Module, channels: int) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]


class Unlabelled(PixelScore):
    """1 - D: how sure the discriminator is that nothing like a pixel was labelled.

    Once the network of a round is trained, VAE and discriminator take turns on all images: the VAE lowers
    MSE + beta KL + BCE(D, 1) on all cells, the discriminator tells labelled cells (1) from others (0), either
    kind with the same weight.
    """

    Settings = UnlabelledConfig
    beside = RankModule
    image = True
    fits = True

    def fit(self, data: RoundData) -> dict[str, Tensor]:
        """Weights of the encoder and the discriminator."""
        torch.manual_seed(data.seed % 2**63)
        device = next(data.networks[-1].parameters()).device
        vae = DenseVae(self.settings.width, self.settings.latent).to(device)
        judge = Discriminator(self.settings.latent).to(device)
        for _ in fit_steps(vae, judge, data, self.settings):
            pass
        kept = {"vae": vae, "judge": judge}
        return {
            f"{part}.{name}": value.cpu()
            for part, module in kept.items()
            for name, value in module.state_dict().items()
            if not name.startswith(("start", "decoder"))
        }

    @torch.no_grad()
    def __call__(self, seen: Seen) -> Map:
        """Scores [S, S] in [0, 1]."""
        vae, judge = self._fitted
        image = torch.from_numpy(seen.image).permute(2, 0, 1)[None].float() / 255
        mean = vae.mean(vae.encoder(_small(image)))
        ranks = _on_cells(torch.from_numpy(seen.beside[:1])[None])
        found = 1 - torch.sigmoid(judge(torch.cat([mean, ranks], 1)))
        return resized(found[0, 0].numpy(), len(seen.clean))

    @property
    def _fitted(self) -> tuple[DenseVae, Discriminator]:
        """The modules with the weights of the state, made once."""
        known = getattr(self, "_made", None)
        if known is None or known[0] is not self.state:
            vae = DenseVae(self.settings.width, self.settings.latent).eval()
            judge = Discriminator(self.settings.latent).eval()
            for part, module in (("vae.", vae), ("judge.", judge)):
                own = {
                    key.removeprefix(part): value for key, value in self.state.items() if key.startswith(part)
                }
                module.load_state_dict(own, strict=False)
            known = self._made = (self.state, vae, judge)
        return known[1], known[2]


@torch.enable_grad()
def fit_steps(
    vae: DenseVae, judge: Discriminator, data: RoundData, settings: UnlabelledConfig
) -> Iterator[tuple[float, float]]:
    """Train both; yields after each batch MSE + beta KL of the VAE, and the loss of the discriminator."""
    rng = np.random.default_rng(data.seed)
    optimizers = [torch.optim.Adam(module.parameters(), settings.rate) for module in (vae, judge)]
    vae.train()
    judge.train()
    for _ in range(settings.epochs):
        numbers = rng.permutation(data.images)[: settings.most_images].tolist()
        for batch in data.batches(numbers, settings.batch_size):
            images, ranks = _small(batch.images), predicted_ranks(data, batch)
            labelled = labelled_cells(batch).to(images.device)
            again, mean, log_variance = vae(images, ranks)
            divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
            fooled = judge(torch.cat([mean, ranks], 1))
            own = mse_loss(again, images) + settings.beta * divergence
            _step(optimizers[0], own + binary_cross_entropy_with_logits(fooled, torch.ones_like(fooled)))
            told = judge(torch.cat([mean.detach(), ranks], 1))
            judged = balanced_bce(told, labelled)
            _step(optimizers[1], judged)
            yield own.item(), judged.item()


def balanced_bce(logits: Tensor, labelled: Tensor) -> Tensor:
    """BCE of cells, as the mean of the means of labelled and unlabelled ones."""
    losses = binary_cross_entropy_with_logits(logits, labelled.to(logits.dtype), reduction="none")
    means = [losses[kind].mean() for kind in (labelled, ~labelled) if kind.any()]
    return torch.stack(means).mean()


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()


@torch.no_grad()
def predicted_ranks(data: RoundData, batch: LabelledBatch) -> Tensor:
    """What the module beside the newest network predicts, on the cells [B, 1, 8, 8]."""
    network = data.networks[-1]
    beside = network(network.normalise(batch.images)).beside
    assert beside is not None
    return _on_cells(beside[:, :1])


def labelled_cells(batch: LabelledBatch) -> Tensor:
    """Whether a cell holds a labelled pixel [B, 1, 8, 8]."""
    found = torch.zeros(len(batch.image_id), 1, CELLS, CELLS, dtype=torch.bool)
    cells = ((batch.cells + 0.5) * CELLS / batch.images.shape[-1]).astype(np.int64).clip(0, CELLS - 1)
    found[
        torch.from_numpy(batch.of_image), 0, torch.from_numpy(cells[:, 1]), torch.from_numpy(cells[:, 0])
    ] = True
    return found


def _small(images: Tensor) -> Tensor:
    return interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)


def _on_cells(maps: Tensor) -> Tensor:
    return interpolate(maps, (CELLS, CELLS), mode="area")


class TaVaal(Method):
    """Top-k of what looks least labelled to a discriminator of a VAE's code and the predicted loss.

    Redesigned for pixels, for the original sorts whole images: VAE and discriminator are convolutions over
    cells of 16 x 16 pixels of the image at 128 px. Constants are the original's (z = 32, beta = 1, Adam
    5e-4), but 5 passes instead of 100. One pass of the network and one of the VAE's encoder for an image; the
    fit adds a pass of the network, and VAE and discriminator forward and back, for each image and pass.
    """

    score = "unlabelled"
