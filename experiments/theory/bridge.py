"""The bridge from theory to the deep agent: its own update, run as exact IQ-DP.

With one-hot observations and no hidden layer the agent's networks are tables. With
every (s, a) of a deterministic MDP in each batch, target update rate 0 inside an
iteration and a hard copy after it, minimising Eq. 2 to convergence is one update of
IQ-DP. Only the optimiser's residual and float32 remain between the two.

Everything that is trained here is the agent's: `make_networks`, `sgd_step`, and below
them the policy family, the loss and Adam.
"""

import dataclasses
import functools
import itertools
import types
from collections.abc import Iterable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from dm_env import specs

from experiments.theory.common import DISCOUNT, Row, Statement, Study
from experiments.theory.factorisation import factorised_iterates
from iq_acme import optimization, tabular, update
from iq_acme.config import IQConfig
from iq_acme.networks import IQNetworks, make_networks
from iq_acme.policies.grid import action_values

# The step size decays geometrically within one iteration. At 0.1 all hidden units of
# the autoregressive policy die.
FIRST_LEARNING_RATES = {'multicategorical': 0.1, 'autoregressive': 0.03}
LAST_LEARNING_RATE = 1e-4
# Settings of `bridge` beside those against the projection.
FACTORISED = 'entangled, against IQ-DP itself'
AUTOREGRESSIVE = 'the same, autoregressive'


@dataclasses.dataclass(frozen=True)
class TableConfig(IQConfig):
  """The agent's configuration without validation.

  A table has no hidden layer and starts at 0, a target that is copied whole has rate 0
  in between, and the step size is traced by jit: all are rightly refused to users.
  """

  def __post_init__(self):
    pass


def bridge(
  num_updates: int = 10, num_sgd_steps: int = 3000, temperature: float = 0.5
) -> Study:
  """Holds the agent's own update against IQ-DP, on 30 states and 25 actions.

  Args:
    num_updates: Iterations.
    num_sgd_steps: Full-batch Adam steps in each; the multicategorical policy, whose
      problem is convex, gets half.
    temperature: tau, in the unit of rewards.

  Returns:
    Rows over setting and update: the largest deviation of tau ln pi and of V, of the
    multicategorical policy from IQ-DP projected onto what it can represent, and where
    actions are entangled of both families from IQ-DP itself.
  """
  rows: list[Row] = []
  for name, state_shape, action_shape, entanglement in (
    ('one dimension of 25', (30,), (25,), 0.0),
    ('two of 5, additive', (6, 5), (5, 5), 0.0),
    ('two of 5, entangled', (6, 5), (5, 5), 0.3),
  ):
    mdp = tabular.factored_mdp(
      state_shape, action_shape, entanglement=entanglement, discount=DISCOUNT
    )
    setting = mdp, action_shape, 0.9, temperature
    projected = factorised_iterates(*setting, num_updates)
    deep = list(
      deep_iterates(*setting, num_updates=num_updates, num_sgd_steps=num_sgd_steps // 2)
    )
    rows += _deviations(name, deep, projected)
    if not entanglement:
      continue
    errors = itertools.repeat(0.0, num_updates)
    exact = list(tabular.run_iq_dp(mdp, 0.9, temperature, errors))
    rows += _deviations(FACTORISED, deep, exact)
    deep = deep_iterates(
      *setting,
      num_updates=num_updates,
      num_sgd_steps=num_sgd_steps,
      policy_family='autoregressive',
    )
    rows += _deviations(AUTOREGRESSIVE, deep, exact)
  return Study(rows, _statements(rows, num_updates, num_sgd_steps, temperature))


def _deviations(
  setting: str,
  iterates: Iterable[tabular.IQIterate],
  references: Iterable[tabular.IQIterate],
) -> list[Row]:
  return [
    {
      'setting': setting,
      'update': k,
      'soft_advantage': np.abs(iterate.soft_advantage - reference.soft_advantage).max(),
      'value': np.abs(iterate.value - reference.value).max(),
      'range_of_soft_advantage': np.ptp(reference.soft_advantage),
    }
    for k, (iterate, reference) in enumerate(zip(iterates, references))
  ]


def _statements(
  rows: list[Row], num_updates: int, num_sgd_steps: int, temperature: float
) -> list[Statement]:
  largest: dict[str, float] = {}
  for row in rows:
    deviation = max(largest.get(row['setting'], 0.0), row['soft_advantage'])
    largest[row['setting']] = deviation
  gap, closed = largest.pop(FACTORISED), largest.pop(AUTOREGRESSIVE)
  size = max(row['range_of_soft_advantage'] for row in rows)
  check = (
    f'30 states, 25 actions, alpha 0.9, tau {temperature:g}, {num_updates} iterations'
  )
  deviation = f'largest deviation of tau ln pi (of a range of {size:.0f})'
  return [
    Statement(
      "The deep agent's own update follows IQ-DP",
      'Section 3.1, line 129',
      f'{check} of {num_sgd_steps // 2} Adam steps; entangled: against the projection',
      f'{deviation}: ' + '; '.join(f'{name}: {x:.0e}' for name, x in largest.items()),
    ),
    Statement(
      'An autoregressive policy holds dependence between dimensions',
      'Section 4, its end',
      f'{check} of {num_sgd_steps} Adam steps (factorised: {num_sgd_steps // 2}), '
      'entangled, against IQ-DP itself',
      f'{deviation}: {closed:.0e}; factorised: {gap:.1f}',
    ),
  ]


def deep_iterates(
  mdp: tabular.FiniteMDP,
  action_shape: Sequence[int],
  munchausen_coefficient: float,
  temperature: float,
  *,
  num_updates: int,
  num_sgd_steps: int,
  policy_family: str = 'multicategorical',
) -> Iterator[tabular.IQIterate]:
  """Runs the deep agent's update as IQ-DP, from the uniform policy and value 0.

  Args:
    mdp: One deterministic MDP of S states; joint actions in C order of
      `action_shape`.
    action_shape: Values of each action dimension; all equal, as the agent has them.
    munchausen_coefficient: alpha.
    temperature: tau, in the unit of rewards.
    num_updates: Iterations of IQ-DP.
    num_sgd_steps: Full-batch steps of Adam in each.
    policy_family: One of `FIRST_LEARNING_RATES`.

  Yields:
    The networks' (tau ln pi `[S, A]`, V `[S]`) after each iteration, float64.

  Raises:
    ValueError: The MDP is not deterministic, or `action_shape` has unequal entries.
  """
  if mdp.transition.ndim != 3 or not np.isin(mdp.transition, (0.0, 1.0)).all():
    raise ValueError('mdp must be one MDP whose transition has only zeros and ones')
  if len(set(action_shape)) != 1:
    raise ValueError(
      f'action_shape is {tuple(action_shape)}; all its entries must be equal'
    )
  config = TableConfig(
    temperature=temperature,
    munchausen_coefficient=munchausen_coefficient,
    discount=mdp.discount,
    policy_family=policy_family,
    num_action_values=action_shape[0],
    scale_logits_by_temperature=True,
    hidden_layer_sizes=(),
    output_init_scale=0.0,  # pi_1 uniform, V_0 = 0
    target_update_rate=0.0,
  )
  networks = make_networks(_environment_spec(mdp, len(action_shape)), config)
  batch = enumerate_transitions(mdp, action_shape)
  state = update.init_state(jax.random.PRNGKey(0), networks, config)
  solve = jax.jit(
    functools.partial(
      _solve, networks=networks, config=config, num_sgd_steps=num_sgd_steps
    )
  )
  for _ in range(num_updates):
    state = solve(state, batch)
    yield _read_tables(state.params, batch, mdp, networks, temperature)


def enumerate_transitions(
  mdp: tabular.FiniteMDP, action_shape: Sequence[int]
) -> update.Transition:
  """Lists every transition of a deterministic MDP once, observations one-hot.

  Args:
    mdp: One deterministic MDP of S states and A joint actions.
    action_shape: Values of each of D action dimensions, evenly spaced in [-1, 1].

  Returns:
    S * A transitions; observations `[S * A, S]`, actions `[S * A, D]`.
  """
  num_dims = len(action_shape)
  grid = action_values(-np.ones(num_dims), np.ones(num_dims), action_shape[0])
  index = np.indices(action_shape).reshape(num_dims, -1)  # [D, A]
  actions = np.stack([grid[d, index[d]] for d in range(num_dims)], axis=-1)  # [A, D]
  num_states, num_actions = mdp.num_states, mdp.num_actions
  one_hot = np.eye(num_states, dtype=np.float32)
  return update.Transition(
    observation=jnp.asarray(np.repeat(one_hot, num_actions, axis=0)),
    action=jnp.asarray(np.tile(actions, (num_states, 1))),
    reward=jnp.asarray(mdp.reward.reshape(-1), jnp.float32),
    discount=jnp.ones(num_states * num_actions),
    next_observation=jnp.asarray(mdp.transition.reshape(-1, num_states), jnp.float32),
  )


def _solve(
  state: update.TrainingState,
  batch: update.Transition,
  *,
  networks: IQNetworks,
  config: TableConfig,
  num_sgd_steps: int,
) -> update.TrainingState:
  """Minimises Eq. 2 against fixed targets, then copies the networks: one iteration."""
  first_rate = FIRST_LEARNING_RATES[config.policy_family]
  rates = jnp.geomspace(first_rate, LAST_LEARNING_RATE, num_sgd_steps)

  def step(
    state: update.TrainingState, rate: jax.Array
  ) -> tuple[update.TrainingState, None]:
    at_rate = dataclasses.replace(config, learning_rate=rate)
    return update.sgd_step(state, batch, networks=networks, config=at_rate)[0], None

  optimizer_state = optimization.make_optimizer(config).init(state.params)
  state, _ = jax.lax.scan(step, state._replace(optimizer_state=optimizer_state), rates)
  return state._replace(target_params=state.params)


def _read_tables(
  params: update.IQParams,
  batch: update.Transition,
  mdp: tabular.FiniteMDP,
  networks: IQNetworks,
  temperature: float,
) -> tabular.IQIterate:
  log_prob = networks.policy.log_prob(params.policy, batch.observation, batch.action)
  value = networks.state_value(params.policy, params.value, jnp.eye(mdp.num_states))
  return tabular.IQIterate(
    temperature * np.asarray(log_prob, np.float64).reshape(mdp.reward.shape),
    np.asarray(value, np.float64),
  )


def _environment_spec(mdp: tabular.FiniteMDP, num_dims: int) -> types.SimpleNamespace:
  return types.SimpleNamespace(
    observations=specs.Array((mdp.num_states,), np.float32),
    actions=specs.BoundedArray((num_dims,), np.float32, -1.0, 1.0),
  )
