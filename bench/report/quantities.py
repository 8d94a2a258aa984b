"""What a paper may claim, and how it is printed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """One kind of figure."""

    title: str
    scale: float = 1  # percent of a fraction
    unit: str = ""
    digits: int = 2
    margin: float | None = None  # what still counts as the same, in the figure's own unit; else a share of it
    lower_is_better: bool = False

    def text(self, value: float, *, sign: bool = False) -> str:
        """``value``, given as in records."""
        return f"{self.scale * value:{'+' if sign else ''}z,.{self.digits}f}"

    def interval(self, low: float | None, high: float | None, *, sign: bool = False) -> str:
        """``[low, high]``; empty where there is none."""
        if low is None or high is None:
            return ""
        return f"[{self.text(low, sign=sign)}, {self.text(high, sign=sign)}]"


TWO_POINTS = 0.02
QUANTITIES = {
    "params": Quantity("parameters", digits=0, margin=0),
    "top1_accuracy": Quantity("top-1", 100, " %", margin=TWO_POINTS),
    "fid": Quantity("FID", lower_is_better=True),
    "lpips": Quantity("LPIPS", digits=3, margin=TWO_POINTS),
    "train_accuracy": Quantity("train accuracy", 100, " %", margin=TWO_POINTS),
    "train_loss": Quantity("train loss", digits=3, lower_is_better=True),
}
MARGIN_SHARE = 0.05  # of a figure that has another scale in every paper
CURVES = {"train_accuracy": "accuracy", "train_loss": "loss"}  # claim -> what train_step returns
