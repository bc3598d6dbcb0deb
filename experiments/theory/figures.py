"""The theory figures, each drawn from the rows of its CSV files and nothing else."""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.theory.common import Row

# Okabe and Ito's colours, which stay apart for colour-blind readers.
COLORS = ('#0072B2', '#E69F00', '#009E73', '#CC79A7', '#000000', '#56B4E9')
BAND_NOTE = 'line: median, band: 10th to 90th percentile'


def draw_equivalence(rows: list[Row]) -> Figure:
  """Draws how far IQ-DP is from MD-VI (Theorem 1), a line per alpha."""
  figure, panels = _panels(2, share_y=True)
  for axes, quantity in zip(panels, ('V', 'tau ln pi')):
    _draw_alphas(axes, _select(rows, quantity=quantity), 'temperature')
    axes.set(xscale='log', yscale='log', xlabel=r'temperature $\tau$')
    axes.set_title({'V': r'$V_k$', 'tau ln pi': r'$\tau\,\ln\pi_k$'}[quantity])
  panels[0].set_ylabel(
    'largest |IQ-DP $-$ MD-VI|\n'
    r'in units of $\epsilon_{machine}\, v_{max}$ (and of $k$ at $\alpha$ = 1)'
  )
  panels[1].legend(ncols=2, fontsize=8)
  return _finish(figure, f'Theorem 1: the two schemes differ by rounding ({BAND_NOTE})')


def draw_bounds(rows: list[Row]) -> Figure:
  """Draws Theorem 2's distance and bound, a panel per alpha and kind of error."""
  alphas, kinds = _values(rows, 'alpha'), _values(rows, 'errors')
  shape = len(alphas), len(kinds)
  figure, panels = plt.subplots(*shape, figsize=(11, 5.4), sharex=True, sharey=True)
  for i, alpha in enumerate(alphas):
    for axes, kind in zip(panels[i], kinds):
      chosen = _select(rows, alpha=alpha, errors=kind)
      update = _column(chosen, 'update') + 1
      _draw_band(
        axes, chosen, 'update', COLORS[0], 'measured', prefix='distance_', shift=1
      )
      for name, style, label in (
        ('bound_median', '-', 'bound'),
        ('error_term_median', '--', 'its sum over errors'),
        ('remainder_median', ':', 'its remainder'),
      ):
        axes.plot(
          update, _column(chosen, name), style, color='#D55E00', lw=1.3, label=label
        )
      axes.set(xscale='log', yscale='log', ylim=(1e-4, 1e3))
      if i == 0:
        axes.set_title(f'{kind} errors', fontsize=10)
      else:
        axes.set_xlabel('updates $k + 1$')
    panels[i, 0].set_ylabel(
      rf'$\alpha$ = {alpha:g}' + '\n'
      r'$\|Q_* - Q_{\pi_{k+2}}\|_\infty$'
    )
  panels[0, 0].legend(fontsize=8, loc='lower left')
  return _finish(
    figure, f'Theorem 2: the policy obeys the bound ({BAND_NOTE} of 50 MDPs)'
  )


def draw_averaging(rows: list[Row], gap_rows: list[Row]) -> Figure:
  """Draws what i.i.d. errors leave (Section 3.2), a line per alpha, and 1 / sqrt(k)."""
  figure, panels = _panels(3, width=12)
  for axes, quantity, title in (
    (panels[0], 'average', r'$\|Q_* - h_k\|_\infty$: averaged Q-value'),
    (panels[1], 'policy', r'$\|Q_* - Q_{\pi_{k+2}}\|_\infty$: policy, same MDPs'),
  ):
    chosen = _select(rows, quantity=quantity)
    _draw_alphas(axes, chosen, 'update', line='mean', shift=1)
    axes.set_title(title, fontsize=10)
  panels[1].set_ylim(1e-4, None)
  for alpha, color in zip(_values(gap_rows, 'alpha'), (COLORS[0], COLORS[4])):
    chosen = _select(gap_rows, alpha=alpha)
    mean, error = _column(chosen, 'mean_loss'), _column(chosen, 'standard_error')
    update = _column(chosen, 'update') + 1
    panels[2].plot(update, mean, color=color, label=rf'$\alpha$ = {alpha:g}')
    panels[2].fill_between(
      update, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2, lw=0
    )
  panels[2].set_title('loss at the worst gap for each $k$', fontsize=10)
  for axes, first in zip(panels, (4.0, 2.0, 0.5)):
    updates = np.array([10.0, 3000.0])
    axes.plot(updates, first / np.sqrt(updates / 10), ':', color='0.4', label='1/√k')
    axes.set(xscale='log', yscale='log', xlabel='updates $k + 1$')
  panels[0].set_ylabel('distance, in the unit of rewards')
  panels[1].legend(fontsize=8, loc='lower left')
  panels[2].legend(fontsize=8, loc='lower left')
  return _finish(
    figure,
    'Section 3.2: KL alone averages i.i.d. errors out (line: mean; band: 10th to 90th '
    'percentile of 60 MDPs, right: 2 standard errors)',
  )


def draw_limits(rows: list[Row], convergence_rows: list[Row]) -> Figure:
  """Draws convergence without errors and the limit of low temperatures, Section 3.1."""
  figure, panels = _panels(2)
  _draw_alphas(panels[0], convergence_rows, 'update', shift=1)
  panels[0].set(xscale='log', yscale='log', xlabel='updates $k + 1$', ylim=(1e-15, 20))
  panels[0].set_ylabel(
    r'$\|Q_*^{(1-\alpha)\tau} - Q_{\pi_{k+2}}^{(1-\alpha)\tau}\|_\infty$'
  )
  panels[0].set_title(r'convergence without errors, $\tau$ = 0.1', fontsize=10)
  _draw_alphas(panels[1], rows, 'temperature', (*COLORS[:3], COLORS[4]))
  _draw_limit(panels[1], _select(rows, alpha=0.0), r'bound for $\alpha$ = 0', y='bound')
  panels[1].set(xscale='log', yscale='log', xlabel=r'temperature $\tau$')
  panels[1].set_ylabel('distance from the limit')
  panels[1].set_title(r'$\tau \to 0$: value iteration, Advantage Learning', fontsize=10)
  for axes in panels:
    axes.legend(fontsize=8)
  return _finish(figure, f'Section 3.1: limits ({BAND_NOTE} of 50 MDPs)')


def draw_dueling(rows: list[Row]) -> Figure:
  """Draws the soft advantage against dueling's, with max and mean (Section 3.3)."""
  figure, panels = _panels(2)
  distinct, tied = _select(rows, quantity='distinct'), _select(rows, quantity='tied')
  _draw_band(panels[0], distinct, 'temperature', COLORS[0], 'normal logits')
  temperature, largest = _column(tied, 'temperature'), _column(tied, 'max')
  panels[0].plot(temperature, largest, 'o', ms=3.5, color=COLORS[1], label='all tied')
  _draw_limit(panels[0], tied, r'$\tau\,\ln A$')
  panels[0].set(xscale='log', yscale='log', ylim=(1e-6, 100))
  panels[0].set_title('distance from dueling with max', fontsize=10)
  mean = _select(rows, quantity='mean')
  _draw_band(panels[1], mean, 'temperature', COLORS[3], 'normal logits')
  _draw_limit(panels[1], mean, r'$\tau\,\ln A$')
  panels[1].set(xscale='log', yscale='log', ylim=(0.1, 100))
  panels[1].set_title('dueling with mean: soft value of Q minus V', fontsize=10)
  for axes in panels:
    axes.set(xlabel=r'temperature $\tau$', ylabel='unit of the logits')
    axes.legend(fontsize=8, loc='upper left')
  return _finish(
    figure, f'Section 3.3: the dueling limit ({BAND_NOTE} of 200 logit vectors)'
  )


def draw_factorisation(rows: list[Row]) -> Figure:
  """Draws what a factorised policy loses, over the strength of entanglement."""
  figure, panels = _panels(2)
  for axes, quantity, label, color in (
    (panels[0], 'total correlation', 'total correlation (least possible)', COLORS[4]),
    (panels[0], 'KL, uniform', 'Eq. 2, uniform data', COLORS[0]),
    (panels[0], 'KL, on-policy', 'Eq. 2, on-policy data', COLORS[1]),
    (panels[1], 'loss, uniform', 'uniform data', COLORS[0]),
    (panels[1], 'loss, on-policy', 'on-policy data', COLORS[1]),
    (panels[1], 'loss, replay', 'data of all policies so far', COLORS[2]),
  ):
    _draw_band(axes, _select(rows, quantity=quantity), 'entanglement', color, label)
  for axes in panels:
    axes.set_xlabel('entanglement: RMS interaction, in the unit of rewards')
    axes.legend(fontsize=8, loc='upper left')
  panels[0].set_ylabel('KL(exact softmax || factorised), nats')
  panels[0].set_title('one update, at the optimum', fontsize=10)
  panels[1].set_ylabel('loss (0: optimal, 1: uniform policy)')
  panels[1].set_title('after 100 updates', fontsize=10)
  panels[1].set_ylim(-0.05, 2.3)
  return _finish(figure, f'Section 4: the representation gap ({BAND_NOTE} of 16 MDPs)')


def draw_bridge(rows: list[Row]) -> Figure:
  """Draws how far the deep agent's update is from IQ-DP after each iteration."""
  figure, panels = _panels(2, share_y=True)
  for axes, quantity, title in (
    (panels[0], 'soft_advantage', r'$\tau\,\ln\pi$'),
    (panels[1], 'value', r'$V$'),
  ):
    for (setting, color), marker in zip(zip(_values(rows, 'setting'), COLORS), 'os^vD'):
      chosen = _select(rows, setting=setting)
      update = _column(chosen, 'update') + 1
      values = _column(chosen, quantity)
      axes.plot(update, values, marker + '-', color=color, ms=4, label=setting)
    axes.set(yscale='log', xlabel='iterations', title=title)
  chosen = _select(rows, setting=_values(rows, 'setting')[0])
  panels[0].plot(
    _column(chosen, 'update') + 1,
    _column(chosen, 'range_of_soft_advantage'),
    ':',
    color='0.3',
    label=r'range of $\tau\,\ln\pi$ itself',
  )
  panels[0].set_ylabel('largest deviation, in the unit of rewards')
  handles = panels[0].get_legend_handles_labels()
  panels[1].legend(
    *handles, fontsize=8, ncols=2, loc='center', bbox_to_anchor=(0.5, 0.6)
  )
  return _finish(
    figure, "The agent's own update (float32, Adam on Eq. 2) follows IQ-DP"
  )


# The figures by file name, and the studies whose rows each is drawn from.
FIGURES: dict[str, tuple[Callable[..., Figure], tuple[str, ...]]] = {
  'equivalence': (draw_equivalence, ('equivalence',)),
  'bounds': (draw_bounds, ('bounds',)),
  'averaging': (draw_averaging, ('averaging', 'worst_gap')),
  'limits': (draw_limits, ('zero_temperature', 'convergence')),
  'dueling': (draw_dueling, ('dueling',)),
  'factorisation': (draw_factorisation, ('factorisation',)),
  'bridge': (draw_bridge, ('bridge',)),
}


def _panels(
  count: int, width: float = 9.5, share_y: bool = False
) -> tuple[Figure, np.ndarray]:
  return plt.subplots(1, count, figsize=(width, 3.9), sharey=share_y)


def _finish(figure: Figure, title: str) -> Figure:
  figure.suptitle(title, fontsize=11)
  for axes in figure.axes:
    axes.grid(alpha=0.25, lw=0.5)
  figure.tight_layout()
  return figure


def _draw_band(
  axes: Axes,
  rows: list[Row],
  x: str,
  color: str,
  label: str,
  *,
  prefix: str = '',
  line: str = 'median',
  shift: int = 0,
) -> None:
  """Draws a line with a band from the 10th to the 90th percentile."""
  positions = _column(rows, x) + shift
  axes.plot(positions, _column(rows, prefix + line), color=color, lw=1.6, label=label)
  low, high = _column(rows, f'{prefix}p10'), _column(rows, f'{prefix}p90')
  axes.fill_between(positions, low, high, color=color, alpha=0.18, lw=0)


def _draw_alphas(
  axes: Axes, rows: list[Row], x: str, colors: Sequence[str] = COLORS, **options: Any
) -> None:
  """Draws a band for each alpha; options are those of `_draw_band`."""
  for alpha, color in zip(_values(rows, 'alpha'), colors):
    label = rf'$\alpha$ = {alpha:g}'
    _draw_band(axes, _select(rows, alpha=alpha), x, color, label, **options)


def _draw_limit(axes: Axes, rows: list[Row], label: str, y: str = 'limit') -> None:
  """Draws what the temperature bounds, dotted."""
  temperature = _column(rows, 'temperature')
  axes.plot(temperature, _column(rows, y), ':', color='0.3', label=label)


def _values(rows: list[Row], name: str) -> list[float | int | str]:
  return list(dict.fromkeys(row[name] for row in rows))


def _select(rows: list[Row], **wanted: float | str) -> list[Row]:
  return [row for row in rows if wanted.items() <= row.items()]


def _column(rows: list[Row], name: str) -> np.ndarray:
  return np.array([row[name] for row in rows], np.float64)
