"""One legend for all panels of a figure, and the entropy of a uniform policy."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

_LEGEND_COLUMNS = 4


def mark_uniform(axes: 'Axes', entropy: float) -> None:
  """Draws the entropy of a uniform policy, in nats."""
  axes.axhline(entropy, color='0.6', linewidth=1, linestyle=(0, (1, 3)), zorder=0)
  axes.annotate(
    'uniform',
    (1, entropy),
    xycoords=axes.get_yaxis_transform(),
    xytext=(-2, 3),
    textcoords='offset points',
    ha='right',
    color='0.4',
    fontsize='small',
  )


def legend_below(figure: 'Figure', axes: 'Axes', title: str | None = None) -> None:
  """Puts the lines of a panel in one legend below all panels; tidies the panels."""
  for panel in figure.axes:
    panel.grid(alpha=0.25)
    panel.spines[['top', 'right']].set_visible(False)
  handles, labels = axes.get_legend_handles_labels()
  figure.legend(
    handles,
    labels,
    loc='outside lower center',
    ncols=min(_LEGEND_COLUMNS, len(labels)),
    frameon=False,
    fontsize='small',
    title=title,
    title_fontsize='small',
    handlelength=3.5,
  )
