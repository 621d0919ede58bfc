"""A CNN: convolutions see 3 × 3 neighbours, and the map halves from stage to stage.

Source: He et al. 2016 (arXiv 1512.03385), sections 3.3 and 4.1: the residual network of 18 or 34 layers.
"""

from collections.abc import Sequence

from einops import rearrange
from torch import Tensor, nn

from swin_edu.patches import check_images


def convolution(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution without bias and the batch norm after it; padding keeps H/stride × W/stride."""
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(out)
    )


class ResidualBlock(nn.Module):
    """Two convolutions of 3 × 3, and what came in added before the last ReLU.

    Shape: (B, C, H, W) -> (B, C, H, W)
    With `stride` 2 the sides halve (rounded up); then, or with other channels `out`, a convolution of 1 × 1
    brings what came in to the new shape.
    Source: He et al. 2016, figure 2 and section 3.3, option B.
    """

    def __init__(self, channels: int, out: int | None = None, stride: int = 1) -> None:
        super().__init__()
        out = channels if out is None else out
        self.conv1 = convolution(channels, out, 3, stride)
        self.conv2 = convolution(out, out, 3)
        self.shortcut = (
            nn.Identity() if (channels, 1) == (out, stride) else convolution(channels, out, 1, stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the map after both convolutions."""
        return (self.conv2(self.conv1(x).relu()) + self.shortcut(x)).relu()


class ResNet(nn.Module):
    """Images to class scores: a stem that quarters the sides, then stages that halve them.

    Shape: (B, 3, H, W) -> (B, 1000)
    `channels` are those of the first stage; each later one has twice as many. `depths` are the blocks of each
    stage: 64 and (2, 2, 2, 2) are the ResNet-18, (3, 4, 6, 3) the ResNet-34.
    Raises ValueError when `depths` holds less than one block a stage, or `num_classes` is below 1.
    Source: He et al. 2016, table 1.
    """

    def __init__(self, channels: int, depths: Sequence[int], num_classes: int = 1000) -> None:
        super().__init__()
        if min(depths, default=0) < 1:
            raise ValueError(f"depths is {tuple(depths)}; it must hold the blocks of each stage, at least 1")
        if num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; it must be at least 1")
        self.stem = nn.Sequential(convolution(3, channels, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1))
        stages, before = [], channels
        for index, depth in enumerate(depths):
            out = channels * 2**index
            first = ResidualBlock(before, out, stride=1 if index == 0 else 2)
            stages.append(nn.Sequential(first, *(ResidualBlock(out) for _ in range(depth - 1))))
            before = out
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(before, num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the stages, channels last: `(B, H/4, W/4, C)`, then half the sides."""
        check_images(images)
        x, maps = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            maps.append(rearrange(x, "b c h w -> b h w c"))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Return the score of each class `(B, num_classes)`."""
        return self.head(self.features(images)[-1].mean(dim=(1, 2)))
