"""The diffusion transformer on patches (Peebles & Xie 2023, "Scalable diffusion models with transformers").

Each patch of the image is a token. Every block attends over all tokens and is steered by the embedding of level, class
and change through adaLN-zero: its shifts, scales and gates, all zero at first, so that a block starts as the identity.
Queries and keys are normalised (Dehghani et al. 2023), which bounds how sharply attention can choose.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fromnoise.networks.embedding import WIDTH, Embedding

HEAD = 64  # numbers of an attention head
FACTOR = 4  # by which a block's perceptron is wider than its tokens


def patchify(x: Float[Tensor, "n c h w"], patch: int) -> Float[Tensor, "n l d"]:
    """Images as rows of patches without overlap: l = hw/patch² tokens of d = c·patch² numbers."""
    return F.pixel_unshuffle(x, patch).flatten(2).transpose(1, 2)


def unpatchify(tokens: Float[Tensor, "n l d"], grid: tuple[int, int], patch: int) -> Float[Tensor, "n c h w"]:
    """The images whose patches these are, `grid` of them down and across: `patchify` undone."""
    return F.pixel_shuffle(tokens.transpose(1, 2).unflatten(2, grid), patch)


def modulate(
    x: Float[Tensor, "n l w"], shift: Float[Tensor, "n 1 w"], scale: Float[Tensor, "n 1 w"]
) -> Float[Tensor, "n l w"]:
    """x normalised over each token's numbers, scaled and shifted."""
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=1e-6), scale + 1)


class Attention(nn.Module):
    """Attention of all tokens to all, in heads of `HEAD` numbers, with normalised queries and keys."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Three matrices rather than one: Muon makes each orthogonal by itself.
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.query_norm, self.key_norm = nn.RMSNorm(HEAD), nn.RMSNorm(HEAD)
        self.out = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "n l w"]) -> Float[Tensor, "n l w"]:
        """What each token takes from the others."""
        query, key, value = (
            layer(x).unflatten(2, (-1, HEAD)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        # Normalised in float32, which the norms' weights are also where autocast computes in bf16.
        query = self.query_norm(query.float()).type_as(value)
        key = self.key_norm(key.float()).type_as(value)
        return self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention, then a perceptron, each on modulated tokens and added to them through a gate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(WIDTH, 6 * width)
        self.attention = Attention(width)
        self.rise = nn.Linear(width, FACTOR * width)
        self.fall = nn.Linear(FACTOR * width, width)
        _zero(self.modulation)

    def forward(self, x: Float[Tensor, "n l w"], embedding: Float[Tensor, "n e"]) -> Float[Tensor, "n l w"]:
        """The block's output."""
        told = self.modulation(embedding)[:, None].chunk(6, dim=2)
        x = x + told[2] * self.attention(modulate(x, told[0], told[1]))
        return x + told[5] * self.fall(F.gelu(self.rise(modulate(x, told[3], told[4])), approximate="tanh"))


class Transformer(nn.Module):
    """Noisy images, their λ and their class to a prediction of the same shape; zero at first.

    images   channels of the images
    size     their height and width, multiples of `patch`
    patch    side of a patch
    width    numbers of a token, a multiple of `HEAD`
    depth    blocks
    classes  number of classes, 0 for none
    change   how many numbers say how an image was changed, 0 for a network that is not told
    """

    def __init__(
        self,
        images: int,
        size: tuple[int, int],
        patch: int = 4,
        width: int = 256,
        depth: int = 8,
        classes: int = 0,
        change: int = 0,
    ) -> None:
        super().__init__()
        if width % HEAD:
            raise ValueError(f"the width must be a multiple of {HEAD}: {width}")
        if size[0] % patch or size[1] % patch:
            raise ValueError(f"height and width must be multiples of the patch's {patch}: {size}")
        self.patch, self.grid = patch, (size[0] // patch, size[1] // patch)
        self.embedding = Embedding(classes, change)
        self.first = nn.Linear(images * patch**2, width)
        self.position = nn.Parameter(0.02 * torch.randn(self.grid[0] * self.grid[1], width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.modulation = nn.Linear(WIDTH, 2 * width)
        self.last = nn.Linear(width, images * patch**2)
        for matrix in self.hidden_matrices():
            nn.init.xavier_uniform_(matrix)
        _zero(self.modulation)
        _zero(self.last)

    def hidden_matrices(self) -> list[nn.Parameter]:
        """The matrices for Muon: those of the blocks that take learned features to learned features.

        Not the first and the last layer, on whose one side are pixels (Jordan et al. 2024), nor the modulations, which
        give gains and start at zero.
        """
        return [p for name, p in self.blocks.named_parameters() if p.ndim == 2 and "modulation" not in name]

    def forward(
        self,
        x: Float[Tensor, "n c h w"],
        logsnr: Float[Tensor, " n"],
        label: Int64[Tensor, " n"] | None = None,
        change: Float[Tensor, "n k"] | None = None,
    ) -> Float[Tensor, "n c h w"]:
        """The prediction for noisy images at levels `logsnr`; for the null class and no change where none is given."""
        embedding = self.embedding(logsnr, label, change)
        h = self.first(patchify(x, self.patch)) + self.position
        for block in self.blocks:
            h = block(h, embedding)
        shift, scale = self.modulation(embedding)[:, None].chunk(2, dim=2)
        return unpatchify(self.last(modulate(h, shift, scale)), self.grid, self.patch)


def _zero(layer: nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
