"""Size budgets: what layers and images weigh against what targets.toml allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millcert.errors import ConfigError
from millcert.image.errors import BudgetError
from millcert.image.project import BuiltImage
from millcert.targets import ImageBudgets

__all__ = ["Weight", "check_budget", "weigh"]


@dataclass(frozen=True)
class Weight:
    """A layer, or a whole image where ``layer`` is empty: compressed bytes and the most that is allowed."""

    image: str
    layer: str
    size: int
    budget: int

    @property
    def exceeded(self) -> bool:
        """Whether it is too heavy."""
        return self.size > self.budget

    def as_dict(self) -> dict[str, object]:
        """The weight as JSON has it."""
        return {"image": self.image, "layer": self.layer, "bytes": self.size, "budget": self.budget}


def weigh(images: Sequence[BuiltImage], budgets: ImageBudgets) -> list[Weight]:
    """Every gzip layer and image with its budget; ConfigError where a layer has none."""
    found: list[Weight] = []
    for image in [image for image in images if image.compression == "gzip"]:
        for layer in image.layers:
            name = layer.planned.name
            if name not in budgets.layers:
                raise ConfigError("a layer without a budget", expected=f"images.layer_bytes.{name} in targets.toml")
            found.append(Weight(image.edition.name, name, layer.size, budgets.layers[name]))
        found.append(Weight(image.edition.name, "", image.compressed, budgets.totals[image.edition.family]))
    return found


def check_budget(weights: Sequence[Weight]) -> None:
    """BudgetError that names everything too heavy."""
    heavy = [weight for weight in weights if weight.exceeded]
    if not heavy:
        return
    evidence = {
        f"{weight.image} {weight.layer or 'image'}": f"{weight.size / 1e6:.2f} MB, allowed {weight.budget / 1e6:.2f} MB"
        for weight in heavy
    }
    raise BudgetError(
        "an image is heavier than its budget",
        **evidence, fix="prune it in ci/image.toml, or raise [images] in ci/targets.toml and say why",
    )  # fmt: skip
