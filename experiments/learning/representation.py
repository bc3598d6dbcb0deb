"""Asks what a trained policy loses in the form that IQ's has: by rounding, by cloning.

    python -m experiments.learning.representation --policy=runs/x/policy.npz

evaluates a policy, of SAC say, as it is; with its actions rounded to n values per
dimension; and cloned into a policy of IQ's own, a softmax over n values for each
dimension, by maximum likelihood on the actions that it samples. What a form does not
lose, a policy of that form can do: then it is not the form that keeps IQ from it.

`--policy` may be repeated. Writes `representation.csv` and `.md`, a row for each policy
and form, with a tenth of the clone's data held out.

Shapes: B batch, D action dimensions, R steps of data.
"""

import contextlib
import functools
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments import RESULTS
from experiments.paper import tables
from iq_acme import evaluation, process, seeding
from iq_acme.commands import parsing, policy_files
from iq_acme.commands.evaluate import PolicyActor
from iq_acme.config import IQConfig
from iq_acme.datasets.recorder import Recorder
from iq_acme.episodes import Actor, run_episodes
from iq_acme.storage import files
from iq_acme.training import metrics_files, versions

if TYPE_CHECKING:
  from iq_acme import LoadedPolicy

BATCH_SIZE = 256
LEARNING_RATE = 1e-3

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.multi_string('policy', None, 'Policy file; may be repeated.', required=True)
_define.list(
  'num_action_values', ['11', '5', '3'], 'Values per dimension, a form for each.'
)
_define.integer('num_episodes', 20, 'Episodes of each evaluation.', lower_bound=1)
_define.integer('data_episodes', 100, 'Episodes that a clone learns from.', 2)
_define.integer('num_sgd_steps', 20_000, 'SGD steps of a clone.', lower_bound=1)
_define.integer('seed', 0, 'Of episodes, samples and clones.', lower_bound=0)
_define.string('output_dir', str(RESULTS / 'learning'), 'Folder of the tables.')

Row = dict[str, Any]


class _Evaluated:
  """A fixed policy as what `evaluation.evaluate_agent` takes."""

  def __init__(
    self, policy: 'LoadedPolicy', wrap: Callable[[Actor], Actor] = lambda actor: actor
  ):
    self._policy = policy
    self._wrap = wrap

  def make_evaluation_actor(self, *, deterministic: bool, seed: int) -> Actor:
    return self._wrap(PolicyActor(self._policy, deterministic, seed))

  def make_critic(self) -> None:
    return None


class RoundedActor(Actor):
  """An actor whose actions are another's, each rounded to the nearest of n values."""

  def __init__(self, actor: Actor, action_spec: Any, num_values: int):
    """Lays the values out.

    Args:
      actor: chooses the actions.
      action_spec: its bounds.
      num_values: n, the bounds among them.
    """
    self._actor = actor
    self._spec = action_spec
    self._spacing = (action_spec.maximum - action_spec.minimum) / (num_values - 1)

  def select_action(self, observation: Any) -> np.ndarray:
    action = self._actor.select_action(observation)
    steps = np.rint((action - self._spec.minimum) / self._spacing)
    return (self._spec.minimum + steps * self._spacing).astype(self._spec.dtype)


def clone(
  data: Mapping[str, np.ndarray],
  environment_spec: Any,
  num_values: int,
  *,
  num_sgd_steps: int,
  seed: int,
) -> tuple['LoadedPolicy', float, float]:
  """Trains a multicategorical policy by maximum likelihood.

  Args:
    data: 'observation' [R, ...], of one array, and 'action' [R, D] in the environment's
      units.
    environment_spec: of the environment.
    num_values: values per dimension.
    num_sgd_steps: steps of Adam, on `BATCH_SIZE` of the first nine tenths of the rows.
    seed: of parameters and batches.

  Returns:
    The policy, and the mean -log pi(a|s) per dimension, in nats, of the rows that it
    learnt from and of the last tenth.
  """
  import jax
  import jax.numpy as jnp
  import optax

  from iq_acme import LoadedPolicy, acting, make_networks

  config = IQConfig(num_action_values=num_values)
  networks = make_networks(environment_spec, config)
  params = networks.policy.init(jax.random.PRNGKey(seed))
  optimizer = optax.adam(LEARNING_RATE)
  dimensions = math.prod(environment_spec.actions.shape)

  def loss(params: Any, observation: Any, action: Any) -> Any:
    log_prob = networks.policy.log_prob(params, observation, action)  # [B]
    return -jnp.mean(log_prob) / dimensions

  @functools.partial(jax.jit, donate_argnums=(0, 1))
  def step(params: Any, state: Any, observation: Any, action: Any) -> Any:
    gradient = jax.grad(loss)(params, observation, action)
    updates, state = optimizer.update(gradient, state)
    return optax.apply_updates(params, updates), state

  columns = data['observation'], data['action']
  last = len(columns[1]) * 9 // 10
  rng = np.random.default_rng(seed)
  state = optimizer.init(params)
  for _ in range(num_sgd_steps):
    rows = rng.integers(0, last, BATCH_SIZE)
    params, state = step(params, state, *(column[rows] for column in columns))
  seen, held_out = (
    float(jax.jit(loss)(params, *(column[part] for column in columns)))
    for part in (slice(None, last), slice(last, None))
  )
  variables = acting.ActingVariables(params, None, exploring=False)
  return LoadedPolicy(networks, variables, config, {}), seen, held_out


def assess(path: str, num_values: Sequence[int]) -> Iterator[Row]:
  """Evaluates a policy and its forms.

  Args:
    path: of the policy.
    num_values: per dimension, a form for each.

  Yields:
    A row each.
  """
  from iq_acme import make_environment
  from iq_acme.spec_checks import check_continuous, make_environment_spec

  with parsing.refusing(OSError, ValueError):
    file = policy_files.read(path)
    make = functools.partial(make_environment, file.env_name, **file.env_options)
    with contextlib.closing(make(0)) as environment:
      spec = make_environment_spec(environment)
      check_continuous(spec.actions, 'rounding')
      policy = file.load(environment)
  metadata = file.metadata

  def row(form: str, values: int | None, evaluated: _Evaluated, **more: float) -> Row:
    found = evaluation.evaluate_agent(
      evaluated, make, run_seed=FLAGS.seed, step=0, num_episodes=FLAGS.num_episodes
    )
    return {
      'policy': f'{metadata.get("algorithm", "sac")} seed {metadata.get("seed")}',
      'task': file.env_name,
      'steps': metadata.get('actor_steps'),
      'form': form,
      'num_values': values,
      **{
        f'{mode}_return_{of}': found[f'{mode}_return_{of}']
        for mode in evaluation.POLICY_MODES
        for of in ('mean', 'std')
      },
      'nats_seen': more.get('seen', math.nan),
      'nats_held_out': more.get('held_out', math.nan),
    }

  yield row('as trained', None, _Evaluated(policy))
  for n in num_values:
    rounded = functools.partial(RoundedActor, action_spec=spec.actions, num_values=n)
    yield row('rounded', n, _Evaluated(policy, rounded))
  env_seed, actor_seed = seeding.derive_seeds(FLAGS.seed, 'training', 0, 2)
  recorder = Recorder(PolicyActor(policy, deterministic=False, seed=actor_seed))
  with contextlib.closing(make(env_seed)) as environment:
    run_episodes(recorder, environment, FLAGS.data_episodes)
  data = recorder.arrays()
  for n in num_values:
    cloned, seen, held_out = clone(
      data, spec, n, num_sgd_steps=FLAGS.num_sgd_steps, seed=FLAGS.seed
    )
    yield row('cloned', n, _Evaluated(cloned), seen=seen, held_out=held_out)


def main() -> None:
  """Assesses every policy, and writes the tables."""
  process.limit_threads(1)
  with parsing.refusing(ValueError):
    num_values = _num_values()
  rows: list[Row] = []
  for path in FLAGS.policy:
    for row in assess(path, num_values):
      rows.append(row)
      print(' '.join(f'{name}={_shown(row[name])}' for name in row), flush=True)
  os.makedirs(FLAGS.output_dir, exist_ok=True)
  stem = os.path.join(FLAGS.output_dir, 'representation')
  metrics_files.write_rows(f'{stem}.csv', rows, digits=6)
  with files.replacing(f'{stem}.md') as path, open(path, 'w') as file:
    file.write(_markdown(rows))
  print(f'Written to {files.readable_path(FLAGS.output_dir)}.')


def _num_values() -> list[int]:
  given = FLAGS.num_action_values
  if not all(n.isdigit() and int(n) >= 2 for n in given):
    raise ValueError(
      f'num_action_values is {",".join(given)}; it must be integers of at least 2, such '
      'as 11,5.'
    )
  return list(map(int, given))


def _shown(value: Any) -> str:
  return f'{value:,.4g}' if isinstance(value, float) else str(value)


def _markdown(rows: Sequence[Row]) -> str:
  shown = []
  for row in rows:
    n = row['num_values']
    returns = {
      mode: f'{row[f"{mode}_return_mean"]:,.0f} ± {row[f"{mode}_return_std"]:,.0f}'
      for mode in evaluation.POLICY_MODES
    }
    is_clone = row['form'] == 'cloned'
    shown.append(
      {
        'task': row['task'],
        'policy': row['policy'],
        'steps': f'{row["steps"]:,}' if row['steps'] else '',
        'form': row['form'] if n is None else f'{row["form"]}, {n} values',
        **returns,
        'nats per dimension, seen': f'{row["nats_seen"]:.2f}' if is_clone else '',
        'held out': f'{row["nats_held_out"]:.2f}' if is_clone else '',
      }
    )
  made_with = versions.collect_versions()
  packages = ''.join(
    f'- {name}: {made_with["packages"].get(name)}\n'
    for name in ('jax', 'gymnasium', 'mujoco', 'numpy')
  )
  return (
    '# What a policy loses by rounding and by cloning\n\n'
    f'{tables.markdown_rows(shown)}\n'
    f'- Returns: mean ± standard deviation over {FLAGS.num_episodes} episodes, the same '
    'seeds for every row of a task.\n'
    f'- Clones: {FLAGS.num_sgd_steps:,} SGD steps on the sampled actions of '
    f'{FLAGS.data_episodes} episodes, a tenth of them held out.\n\n'
    'Every number is in [representation.csv](representation.csv).\n\n'
    f'- command: `{made_with["command"]}`\n- commit: {made_with["commit"]}\n{packages}'
  )


if __name__ == '__main__':
  sys.exit(parsing.run(main, FLAGS, __doc__))
