"""Probes whether the policy stays uniform if no action is better than another.

    python -m experiments.learning.probe

feeds the agent's own `update.sgd_step` random observations and actions. The noise
panel pays 1 whatever the action, so that a policy has nothing to learn and should stay
uniform (2.40 nats per dimension of 11 values). The signal panel pays 1 plus what the
actions are worth, so that it should learn them, also at states that it has not seen.
Writes `probe.csv` and `probe.png` to `experiments/results/learning`. It takes some ten
minutes of CPU time; `--setting` keeps only those that are named.

Shapes: B batch, D action dimensions, R rows of data.
"""

import dataclasses
import functools
import math
import os
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from dm_env import specs

from experiments import RESULTS
from experiments.learning import lines
from experiments.learning.design import ONE_NETWORK
from iq_acme import process
from iq_acme.commands import parsing
from iq_acme.storage import files
from iq_acme.training import metrics_files, panels

MARKS = (100, 200, 400, 800, 1600, 3200)  # SGD steps that are written down.
OBSERVATIONS, ACTIONS, ACTION_VALUES = 11, 3, 11  # Hopper's, and the paper's n.
ROWS = 10_000  # As many as the warm-up brings.
LEARNING_RATE = 3e-4
COLUMNS = (
  'setting',
  'signal',
  'sgd_step',
  'policy_entropy_per_dim',
  'value_mean',
  'log_policy_mean',
  'signal_fraction',
)
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Setting:
  """What is probed.

  Attributes:
    fields: values by field of `IQConfig`, of the paper's otherwise.
    reward: what every action is paid.
  """

  fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  reward: float = 1.0


SETTINGS = {
  'today': Setting(),
  'policy step x 0.1': Setting({'policy_learning_rate': 0.1 * LEARNING_RATE}),
  'policy step x 0.03': Setting({'policy_learning_rate': 0.03 * LEARNING_RATE}),
  'both rates 3e-5': Setting({'learning_rate': 3e-5}),
  'centred policy error': Setting({'center_policy_error': True}),
  'V alone for 2,500 steps': Setting({'policy_start': 2_500}),
  'advantage bound 10': Setting({'advantage_bound': 10.0}),
  'advantage bound 1': Setting({'advantage_bound': 1.0}),
  'Munchausen bound 10': Setting({'munchausen_bound': 10.0}),
  'two pairs': Setting({'num_pairs': 2}),
  'logits over temperature': Setting({'scale_logits_by_temperature': True}),
  'one network': Setting(ONE_NETWORK),
  'one network, two pairs': Setting({**ONE_NETWORK, 'num_pairs': 2}),
  'temperature 1': Setting({'temperature': 1.0}),
  'reward 0': Setting(reward=0.0),
}


FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.string(
  'output_dir', str(RESULTS / 'learning'), 'Folder of the table and the figure.'
)
_define.multi_enum('setting', [], list(SETTINGS), 'Only this; may be repeated.')


@dataclasses.dataclass(frozen=True)
class Data:
  """Transitions whose next observations have nothing to do with them.

  Attributes:
    observations: s, standard normal [R, observations].
    following: s', likewise.
    actions: one of the values per dimension, uniformly, in [-1, 1] [R, D].
    rewards: [R].
    fresh: observations that are in no transition [R, observations].
    best: the index of the best value of each dimension at `fresh` [R, D].
  """

  observations: Any
  following: Any
  actions: Any
  rewards: Any
  fresh: Any
  best: Any


def make_data(reward: float, signal: bool, seed: int = 0) -> Data:
  """Draws the data of a probe.

  Args:
    reward: what every action is paid.
    signal: whether the actions matter: each dimension then adds 1 - |i - b(s)| / 5 for
      value i, where the best, b(s), is 8 or 2 by the sign of a linear function of s.
    seed: of everything.
  """
  rng = np.random.default_rng(seed)
  states = rng.normal(size=(3, ROWS, OBSERVATIONS)).astype(np.float32)
  indices = rng.integers(0, ACTION_VALUES, (ROWS, ACTIONS))
  directions = rng.normal(size=(OBSERVATIONS, ACTIONS))
  best = np.where(states @ directions > 0, 8, 2)  # [3, R, D]
  rewards = np.full(ROWS, reward, np.float32)
  if signal:
    rewards += (1 - np.abs(indices - best[0]) / 5).sum(axis=1).astype(np.float32)
  actions = _to_action(indices).astype(np.float32)
  return Data(states[0], states[1], actions, rewards, states[2], best[2])


def run(
  setting: Setting, *, signal: bool = False, marks: Sequence[int] = MARKS, seed: int = 0
) -> Iterator[Row]:
  """Trains on random data.

  Args:
    setting: of the agent and its reward.
    signal: whether the actions matter; see `make_data`.
    marks: SGD steps to report, rising; the last one ends the training.
    seed: of parameters, data and batches.

  Yields:
    At each mark the metrics of that SGD step, under their names in `update.batch_loss`,
    'sgd_step', and 'signal_fraction': what the mode gets at fresh observations of the
    signal per dimension, 1 at best, 0.40 for the middle value everywhere, 0.29 by
    chance; NaN without a signal.
  """
  import jax

  from iq_acme import update
  from iq_acme.config import IQConfig
  from iq_acme.networks import make_networks

  config = IQConfig(**setting.fields)
  networks = make_networks(_make_spec(), config)
  state = update.init_state(jax.random.PRNGKey(seed), networks, config)
  step = jax.jit(
    functools.partial(update.sgd_step, networks=networks, config=config),
    donate_argnums=0,
  )
  data = make_data(setting.reward, signal, seed)
  rng = np.random.default_rng(seed + 1)
  ones = np.ones(config.batch_size, np.float32)
  for steps in range(1, max(marks) + 1):
    rows = rng.integers(0, ROWS, config.batch_size)
    state, metrics = step(
      state,
      update.Transition(
        data.observations[rows],
        data.actions[rows],
        data.rewards[rows],
        ones,
        data.following[rows],
      ),
    )
    if steps in marks:
      mode = networks.policy.mode(state.params.policy, data.fresh)
      yield {
        'sgd_step': steps,
        **{name: float(value) for name, value in metrics.items()},
        'signal_fraction': _fraction(mode, data.best) if signal else float('nan'),
      }


def main() -> None:
  """Probes every setting, and writes the table and the figure."""
  process.limit_threads(1)
  rows = []
  for signal in (False, True):
    for name in FLAGS.setting or SETTINGS:
      for values in run(SETTINGS[name], signal=signal):
        row = {'setting': name, 'signal': int(signal), **values}
        rows.append({column: row[column] for column in COLUMNS})
        print(_line(rows[-1]), flush=True)
  os.makedirs(FLAGS.output_dir, exist_ok=True)
  path = os.path.join(FLAGS.output_dir, 'probe.csv')
  metrics_files.write_rows(path, rows, digits=6)
  draw(rows, os.path.join(FLAGS.output_dir, 'probe.png'))
  print(f'Written to {files.readable_path(FLAGS.output_dir)}.')


def draw(rows: Sequence[Row], path: str) -> None:
  """Draws the entropy without and with a signal, and what is learnt of the signal.

  Args:
    rows: of `COLUMNS`.
    path: the picture to write.
  """
  figure, all_axes = panels.make_panels(3)
  entropy, fraction = 'policy_entropy_per_dim', 'signal_fraction'
  shown = ((False, entropy), (True, entropy), (True, fraction))
  for axes, (signal, column) in zip(all_axes, shown):
    for index, name in enumerate(dict.fromkeys(row['setting'] for row in rows)):
      chosen = [r for r in rows if r['setting'] == name and r['signal'] == signal]
      steps = [row['sgd_step'] for row in chosen]
      values = [row[column] for row in chosen]
      panels.draw_line(axes, steps, values, values, values, index, name)
    axes.set(xscale='log', xlabel='SGD steps')
    axes.set_xticks(MARKS, [f'{mark:,}' for mark in MARKS])
    axes.minorticks_off()
  for axes in all_axes[:2]:
    lines.mark_uniform(axes, math.log(ACTION_VALUES))
    axes.set(ylim=(-0.05, 2.6), ylabel='entropy of the policy, nats per dimension')
  all_axes[2].set(ylim=(0.25, 1), ylabel='reward of the mode, of the best 1')
  all_axes[0].set_title('noise: every action is paid the same')
  all_axes[1].set_title('signal: the best action depends on the state')
  all_axes[2].set_title('what the policy has learnt of the signal')
  lines.legend_below(figure, all_axes[0])
  panels.save_figure(figure, path)


def _make_spec() -> Any:
  return types.SimpleNamespace(
    observations=specs.Array((OBSERVATIONS,), np.float32),
    actions=specs.BoundedArray((ACTIONS,), np.float32, -1.0, 1.0),
  )


def _to_action(indices: Any) -> Any:
  """Returns the actions of indices: the middle value is 0, the ends are -1 and 1."""
  return indices / ((ACTION_VALUES - 1) / 2) - 1


def _fraction(actions: Any, best: Any) -> float:
  """Returns the mean of 1 - |i - b| / 5 over [R, D]."""
  distance = np.abs(np.asarray(actions) - _to_action(best))
  return float(np.mean(1 - distance * (ACTION_VALUES - 1) / 2 / 5))


def _line(row: Row) -> str:
  got = f', mode gets {row["signal_fraction"]:.2f}' if row['signal'] else ''
  return (
    f'{"signal" if row["signal"] else "noise":6} {row["setting"]:24} '
    f'{row["sgd_step"]:5,}: entropy {row["policy_entropy_per_dim"]:.2f}, '
    f'V {row["value_mean"]:.2f}, log pi {row["log_policy_mean"]:.1f}{got}'
  )


if __name__ == '__main__':
  sys.exit(parsing.run(main, FLAGS, __doc__))
