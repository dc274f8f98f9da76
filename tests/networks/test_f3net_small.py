import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from atal_ray.config import TrainConfig
from atal_ray.networks.f3net_small import F3NetSmall


def discs(count: int, side: int) -> tuple[Tensor, Tensor]:
    """Coloured discs on noise, and their masks."""
    axis = torch.arange(side).float()
    centres = side * (0.3 + 0.4 * torch.rand(count, 2))
    distance = (axis[None, :, None] - centres[:, 0, None, None]) ** 2 + (
        axis[None, None, :] - centres[:, 1, None, None]
    ) ** 2
    masks = (distance < (side / 5) ** 2).float()[:, None]
    return 0.6 * torch.rand(count, 3, side, side) + masks * torch.tensor([0.4, 0.1, 0.0]).view(3, 1, 1), masks


def test_network_is_small_and_trains_as_a_whole():
    network = F3NetSmall()
    size = sum(parameter.numel() for parameter in network.parameters())
    assert size == 370_358
    (group,) = network.parameter_groups(TrainConfig())
    assert (group["name"], group["scale"]) == ("head", 1.0)
    assert sum(parameter.numel() for parameter in group["params"]) == size


def test_it_learns_discs_in_a_few_steps():
    torch.manual_seed(0)
    network = F3NetSmall()
    optimiser = torch.optim.SGD(network.parameter_groups(TrainConfig()), momentum=0.9, nesterov=True)
    losses = []
    for _ in range(40):
        images, masks = discs(8, 64)
        output = network(network.normalise(images))
        terms = [binary_cross_entropy_with_logits(logits, masks) for logits in output.logits]
        loss = sum(weight * term for weight, term in zip(network.loss_weights, terms, strict=True))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(terms[network.prediction].item())
    assert sum(losses[-5:]) < sum(losses[:5]) / 2
    images, masks = discs(8, 64)
    network.eval()
    with torch.no_grad():
        salient = network.saliency(images)[0] > 0.5
    overlap = (salient & (masks == 1)).sum() / (salient | (masks == 1)).sum()
    assert overlap > 0.5
