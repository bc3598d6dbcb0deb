"""IQ's learner: Acme's plumbing around the pure update."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import acme
import jax
import jax.numpy as jnp
import numpy as np
from acme.utils import counting, loggers

from iq_acme import acting, update
from iq_acme.config import IQConfig
from iq_acme.networks import IQNetworks, check_made_from

_WHAT_TO_TRY = (
  'Nothing has been saved since. Try a lower learning_rate, normalize_observations, or '
  'a larger temperature, and check the scale of the rewards.'
)


class NonFiniteLossError(RuntimeError):
  """The loss became NaN or infinite; the last checkpoint is from before that."""


def finite_copy(state: Any, explanation: str) -> Any:
  """Returns a training state as numpy arrays, if every number of it is finite.

  The last step may have spoiled parameters by a loss that was still finite.

  Args:
    state: a nest of arrays.
    explanation: how the error's message ends.

  Raises:
    NonFiniteLossError: naming the array that is spoiled.
  """
  saved = jax.device_get(state)
  for path, leaf in jax.tree_util.tree_flatten_with_path(saved)[0]:
    if not np.all(np.isfinite(leaf)):
      raise NonFiniteLossError(
        f'The training state{jax.tree_util.keystr(path)} has numbers that are not '
        f'finite{explanation}'
      )
  return saved


class IQLearner(acme.Learner):
  """Feeds batches from replay to `update.sgd_steps`, logs, saves and restores."""

  def __init__(
    self,
    networks: IQNetworks,
    config: IQConfig,
    random_key: jax.Array,
    iterator: Iterator[Any],
    counter: counting.Counter | None = None,
    logger: loggers.Logger | None = None,
    unpack: Callable[[Any], update.Transition] = lambda data: update.Transition(
      *data[:5]
    ),
  ):
    """Creates a learner in its initial state.

    Args:
      networks: the networks to train.
      config: the hyperparameters.
      random_key: what the networks are initialised from.
      iterator: batches of `reverb.ReplaySample` whose data hold K * B transitions.
      counter: counts `steps` (SGD steps) and `walltime` (seconds), like those of Acme's
        learners: make it `counting.Counter(parent, 'learner')`, as Acme's
        `DistributedLayout` does, and the parent counts `learner_steps`.
      logger: gets a row of metrics every `config.log_period` SGD steps; none if
        None.
      unpack: makes transitions of a sample's data, inside the jitted update; by default
        of Acme's own transitions.

    Raises:
      ValueError: if the networks were made from another configuration.
    """
    check_made_from(networks, config)
    self._config = config
    self._iterator = iterator
    self._counter = counter or counting.Counter(prefix='learner')
    self._logger = logger
    self._metric_names: list[str] = []
    self._state = update.init_state(random_key, networks, config)
    self._exploring = True
    self._num_steps = 0
    # SGD steps and metrics since the last row. The newest are on the device still, for
    # reading them at once would make the step wait; the others are read one step late,
    # for a thousand arrays at a time cost a fifth of a second.
    self._unread_metrics: list[tuple[int, Any]] = []
    self._last_step_time: float | None = None
    self._walltime = 0.0

    def update_and_pack(
      state: update.TrainingState, data: Any
    ) -> tuple[update.TrainingState, jax.Array]:
      state, metrics = update.sgd_steps(
        state, unpack(data), networks=networks, config=config
      )
      self._metric_names = sorted(metrics)  # Set while tracing; the same every time.
      return state, jnp.stack([metrics[name] for name in self._metric_names])

    # The state is not donated: actors read it from other threads while this runs.
    self._update = jax.jit(update_and_pack)

  def step(self) -> None:
    """Takes `config.num_sgd_steps_per_step` SGD steps on the iterator's next batch.

    Raises:
      NonFiniteLossError: at the next row of metrics after a loss was not finite.
    """
    data = next(self._iterator).data
    self._exploring = False
    state, metrics = self._update(self._state, data)
    self._num_steps += self._config.num_sgd_steps_per_step
    # In this order, a state that another thread saves has had its loss checked.
    self._unread_metrics.append((self._num_steps, metrics))
    self._state = state
    if len(self._unread_metrics) > 1:
      steps, metrics = self._unread_metrics[-2]
      # A copy: a view of it, on the host, would keep the device's array, some 3 KB.
      self._unread_metrics[-2] = (steps, np.array(metrics))

    now = time.monotonic()
    elapsed = 0.0 if self._last_step_time is None else now - self._last_step_time
    self._last_step_time = now
    self._walltime += elapsed
    num_steps = self._config.num_sgd_steps_per_step
    counts = self._counter.increment(steps=num_steps, walltime=elapsed)
    if len(self._unread_metrics) * num_steps >= self._config.log_period:
      self._log(counts)

  @property
  def state(self) -> update.TrainingState:
    """The training state as it is, on the device."""
    return self._state

  def end_exploration(self) -> None:
    """Lets actors follow the policy from now on; the first `step` does so too."""
    self._exploring = False

  def get_variables(self, names: list[str]) -> list[Any]:
    """Variables for actors; may be called from any thread at any time.

    Args:
      names: 'policy' (an `acting.ActingVariables`) or 'value' (parameters).

    Returns:
      A consistent snapshot for each name.

    Raises:
      KeyError: for any other name.
    """
    state = self._state  # One read: a step may replace it meanwhile.
    variables = {
      'policy': acting.ActingVariables(
        state.params.policy, state.normalizer, np.bool_(self._exploring)
      ),
      'value': state.params.value,
    }
    unknown = set(names) - set(variables)
    if unknown:
      raise KeyError(f'No variables {sorted(unknown)}; there are {sorted(variables)}.')
    return [variables[name] for name in names]

  def check_finite(self) -> None:
    """Raises if a loss or gradient since the last row was not finite.

    Raises:
      NonFiniteLossError: naming the step and what to try.
    """
    self._read_metrics()

  def save(self) -> update.TrainingState:
    """Returns the whole training state, as numpy arrays; may be called from any thread.

    Raises:
      NonFiniteLossError: if the state is spoiled and not worth keeping.
    """
    state = self._state  # Before the metrics, which are there before their state is.
    self.check_finite()
    return finite_copy(state, f' after SGD step {int(state.steps)}. {_WHAT_TO_TRY}')

  def restore(self, state: update.TrainingState) -> None:
    """Continues from what `save` returned.

    Raises:
      ValueError: if the state has other shapes than this learner's.
    """
    mine = jax.tree.map(np.shape, self._state)
    theirs = jax.tree.map(np.shape, state)
    if mine != theirs:
      raise ValueError(
        f'The saved state does not fit this learner: it has shapes {theirs}, the '
        f'learner has {mine}.'
      )
    self._state = jax.device_put(state)
    self._num_steps = int(state.steps)
    self._exploring = self._exploring and self._num_steps == 0
    self._unread_metrics = []

  def _read_metrics(self) -> np.ndarray:
    """Metrics since the last row, [steps, metrics], checked to be finite."""
    # One read: the learner's own thread may begin a new row meanwhile.
    unread = list(self._unread_metrics)
    if not unread:
      return np.zeros((0, len(self._metric_names)))
    rows = np.stack([np.asarray(metrics) for _, metrics in unread])
    # A finite loss can have a gradient that is not, and that spoils the state.
    columns = [self._metric_names.index(name) for name in ('loss', 'gradient_norm')]
    checked = rows[:, columns]
    bad = np.flatnonzero(~np.isfinite(checked).all(axis=1))
    if bad.size:
      loss, gradient_norm = checked[bad[0]]
      first = unread[bad[0]][0] - self._config.num_sgd_steps_per_step + 1
      raise NonFiniteLossError(
        f'The loss became {loss} and its gradient norm {gradient_norm} at SGD step '
        f'{first}. {_WHAT_TO_TRY}'
      )
    return rows

  def _log(self, counts: dict[str, float]) -> None:
    rows = self._read_metrics()
    self._unread_metrics = []
    if self._logger is None:
      return
    reduced = {
      name: float((np.min if name in update.MINIMUM_METRICS else np.mean)(rows[:, i]))
      for i, name in enumerate(self._metric_names)
    }
    self._logger.write(
      {
        **reduced,
        'learner_steps': self._num_steps,
        # Resumes included, where the counter has the prefix that it should have.
        'learner_walltime': counts.get('learner_walltime', self._walltime),
        'actor_steps': counts.get('actor_steps', 0),
      }
    )
