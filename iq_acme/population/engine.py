"""The program: replay, actions and SGD steps of all members, each in one call.

Shapes: M members, P rows that a step can bring, W numbers of a row, B batch.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iq_acme.population.algorithm import Algorithm, Numbers, State
from iq_acme.storage import serialization
from iq_acme.transitions import TransitionPacking

_MEMBERS = 'members.npz'
# What a member's key is folded with, for keys of its parts that have nothing in common.
_INIT, _ACT, _SAMPLE = range(3)


class MemberState(NamedTuple):
  """Everything of a member but the rows of its replay.

  Attributes:
    algorithm: what its SGD steps change.
    key: uint32 [2], never changed; the steps taken are folded into it.
    sgd_steps: SGD steps taken, int32.
    next_row: where in the ring the next row goes, int32.
    num_rows: rows in the ring, int32.
    alive: False once a step was not finite, or the member was stopped: it is what it
      was before that step from then on.
    metrics: each metric's sum, or minimum, since they were read last.
    num_metrics: the SGD steps that these are over, int32.
  """

  algorithm: State
  key: jax.Array
  sgd_steps: jax.Array
  next_row: jax.Array
  num_rows: jax.Array
  alive: jax.Array
  metrics: dict[str, jax.Array]
  num_metrics: jax.Array


class Population:
  """M members as arrays with a leading axis [M], on JAX's default device.

  A member is what its seed and its numbers make it, whoever else is trained beside it.

  Attributes:
    algorithm: the program.
  """

  def __init__(
    self,
    algorithm: Algorithm,
    numbers: Sequence[Numbers],
    seeds: Sequence[int],
    packing: TransitionPacking,
    *,
    capacity: int,
    batch_size: int,
  ):
    """Creates members in their initial state, with empty replay.

    Args:
      algorithm: the program.
      numbers: of each member.
      seeds: of each member.
      packing: the layout of a row.
      capacity: rows of each member's replay; the oldest leave first.
      batch_size: B, of an SGD step.

    Raises:
      ValueError: if rows are not of float32.
    """
    if packing.dtype != np.float32:
      raise ValueError(
        "A population's observations, rewards and discounts must be float32, and actions "
        "that or integers, as those of `iq_acme.make_environment` are; the environment's "
        'specs are not.'
      )
    self.algorithm = algorithm
    self._packing = packing
    self._capacity = capacity
    self._batch_size = batch_size
    self._numbers = jax.tree.map(lambda *x: jnp.asarray(x), *numbers)
    self._init_metrics = self._metric_zeros(numbers[0])
    # Not by `vmap`: a seed may not fit in 32 bits.
    keys = jnp.stack([jax.random.PRNGKey(seed) for seed in seeds])
    self._act_keys = jax.vmap(lambda key: jax.random.fold_in(key, _ACT))(keys)
    self._members: MemberState = jax.jit(jax.vmap(self._init))(keys, self._numbers)
    self._rings = jnp.zeros((len(seeds), capacity, packing.width), jnp.float32)
    self._act = jax.jit(self._act_all, static_argnames='deterministic')
    self._learn = jax.jit(
      self._learn_all, static_argnames='num_updates', donate_argnums=(0, 1)
    )
    self._write_ring = jax.jit(
      lambda rings, rows, i: jax.lax.dynamic_update_slice(rings, rows[None], (i, 0, 0)),
      donate_argnums=0,
    )

  def __len__(self) -> int:
    return self._rings.shape[0]

  def act(self, step: int, observations: Any, exploring: bool) -> np.ndarray:
    """Returns the actions that collect data, [M, ...]; waits for them.

    Args:
      step: environment steps so far, of which each takes keys of its own.
      observations: what each member sees, [M, ...].
      exploring: whether actions are uniform still.
    """
    return np.asarray(
      self._act(
        self._members.algorithm,
        self._act_keys,
        step,
        observations,
        exploring,
        deterministic=False,
      )
    )

  def act_in_evaluation(
    self, keys: jax.Array, step: int, observations: Any, deterministic: bool
  ) -> np.ndarray:
    """Returns actions that are no data, [M, ...].

    Args:
      keys: of each member, uint32 [M, 2].
      step: of the evaluation.
      observations: what each member sees, [M, ...].
      deterministic: whether to take the policies' modes.
    """
    return np.asarray(
      self._act(self._members.algorithm, keys, step, observations, False, deterministic)
    )

  def learn(self, rows: np.ndarray, counts: np.ndarray, num_updates: int) -> None:
    """Adds rows to replay, then takes SGD steps; returns before they are done.

    Args:
      rows: [M, P, W].
      counts: how many of the P are rows, [M].
      num_updates: SGD steps, each on a batch of its own.
    """
    self._members, self._rings = self._learn(
      self._members, self._rings, self._numbers, rows, counts, num_updates=num_updates
    )

  def alive(self) -> np.ndarray:
    """Returns which members go on, bool [M]; waits for what was begun."""
    return np.asarray(self._members.alive)

  def stop(self, index: int) -> None:
    """Ends a member, which stays what it is."""
    alive = self._members.alive.at[index].set(False)
    self._members = self._members._replace(alive=alive)

  def sgd_steps(self) -> np.ndarray:
    """Returns the SGD steps that each member has taken, [M]."""
    return np.asarray(self._members.sgd_steps)

  def read_metrics(self) -> dict[str, np.ndarray]:
    """Returns each metric's mean (or minimum) since the last call, [M]; NaN for none."""
    metrics, counts = jax.device_get((self._members.metrics, self._members.num_metrics))
    self._members = self._members._replace(
      metrics=jax.tree.map(
        lambda zero, x: jnp.full_like(x, zero), self._init_metrics, metrics
      ),
      num_metrics=jnp.zeros_like(self._members.num_metrics),
    )
    values = {}
    for name, x in metrics.items():
      total = x if name in self.algorithm.minimum_metrics else x / np.maximum(counts, 1)
      values[name] = np.where(counts > 0, total, np.nan)
    return values

  def member(self, index: int) -> State:
    """Returns what a member's SGD steps have made, a copy on the device."""
    return jax.tree.map(lambda x: x[index], self._members.algorithm)

  def replay(self, index: int) -> np.ndarray:
    """Returns a member's rows, [N, W], the oldest first."""
    size = int(self._members.num_rows[index])
    first = int(self._members.next_row[index]) if size == self._capacity else 0
    return np.roll(np.asarray(self._rings[index, :size]), -first, axis=0)

  def save(self, folder: str) -> None:
    """Writes everything into a folder, the filled rows of replay member by member."""
    serialization.save_tree(os.path.join(folder, _MEMBERS), self._members._asdict())
    for i in range(len(self)):
      np.save(_rows_path(folder, i), self.replay(i))

  def restore(self, folder: str) -> None:
    """Reads what `save` wrote.

    Args:
      folder: the one that it was given.

    Raises:
      ValueError: if it belongs to other members, naming what differs.
    """
    like = self._members._asdict()
    tree = serialization.load_tree(os.path.join(folder, _MEMBERS), like)
    members = MemberState(**jax.device_put(tree))
    sizes = np.minimum(tree['num_rows'], self._capacity)
    for i, size in enumerate(sizes):
      rows = np.zeros((self._capacity, self._packing.width), np.float32)
      rows[:size] = np.load(_rows_path(folder, i), allow_pickle=False)[-size or None :]
      self._rings = self._write_ring(self._rings, rows, i)
    self._members = members._replace(
      num_rows=jnp.asarray(sizes, jnp.int32),
      next_row=jnp.asarray(sizes % self._capacity, jnp.int32),
    )

  def _init(self, key: jax.Array, numbers: Numbers) -> MemberState:
    """Returns one member's first state."""
    zero = jnp.zeros((), jnp.int32)
    return MemberState(
      algorithm=self.algorithm.init(jax.random.fold_in(key, _INIT), numbers),
      key=key,
      sgd_steps=zero,
      next_row=zero,
      num_rows=zero,
      alive=jnp.ones((), bool),
      metrics=jax.tree.map(jnp.float32, self._init_metrics),
      num_metrics=zero,
    )

  def _metric_zeros(self, numbers: Numbers) -> dict[str, float]:
    """Returns what each metric starts from: 0, or infinity for a minimum."""

    def step(key: jax.Array, rows: jax.Array) -> Mapping[str, jax.Array]:
      state = self.algorithm.init(key, numbers)
      return self.algorithm.sgd_step(state, self._packing.unpack(rows), numbers)[1]

    rows = jax.ShapeDtypeStruct((self._batch_size, self._packing.width), np.float32)
    names = jax.eval_shape(step, jax.random.PRNGKey(0), rows)
    minima = self.algorithm.minimum_metrics
    return {name: np.inf if name in minima else 0.0 for name in names}

  def _act_all(
    self,
    states: State,
    keys: jax.Array,
    step: jax.Array,
    observations: Any,
    exploring: jax.Array,
    deterministic: bool,
  ) -> jax.Array:
    def act(state: State, key: jax.Array, observation: Any) -> jax.Array:
      key = jax.random.fold_in(key, step)
      return self.algorithm.act(state, key, observation, exploring, deterministic)

    return jax.vmap(act)(states, keys, observations)

  def _learn_all(
    self,
    members: MemberState,
    rings: jax.Array,
    numbers: Numbers,
    rows: jax.Array,
    counts: jax.Array,
    num_updates: int,
  ) -> tuple[MemberState, jax.Array]:
    members, rings = jax.vmap(self._insert)(members, rings, rows, counts)
    update = jax.vmap(self._update)
    if num_updates == 1:
      members = update(members, rings, numbers)
    elif num_updates:
      members, _ = jax.lax.scan(
        lambda members, _: (update(members, rings, numbers), None),
        members,
        length=num_updates,
      )
    return members, rings

  def _insert(
    self, member: MemberState, ring: jax.Array, rows: jax.Array, count: jax.Array
  ) -> tuple[MemberState, jax.Array]:
    """Writes one member's rows; those beyond `count` go nowhere."""
    offset = jnp.arange(rows.shape[0])
    index = (member.next_row + offset) % self._capacity
    index = jnp.where(offset < count, index, self._capacity)
    member = member._replace(
      next_row=(member.next_row + count) % self._capacity,
      num_rows=jnp.minimum(member.num_rows + count, self._capacity),
    )
    return member, ring.at[index].set(rows, mode='drop')

  def _update(
    self, member: MemberState, ring: jax.Array, numbers: Numbers
  ) -> MemberState:
    """Takes one member's SGD step, unless that is not finite."""
    key = jax.random.fold_in(member.key, _SAMPLE)
    key = jax.random.fold_in(key, member.sgd_steps)
    # From the oldest on, wherever in the ring that is: a ring that was saved and
    # restored draws the same.
    age = jax.random.randint(key, (self._batch_size,), 0, member.num_rows)
    index = (member.next_row - member.num_rows + age) % self._capacity
    state, metrics = self.algorithm.sgd_step(
      member.algorithm, self._packing.unpack(ring[index]), numbers
    )
    minima = self.algorithm.minimum_metrics
    merged = {
      name: jnp.minimum(old, metrics[name]) if name in minima else old + metrics[name]
      for name, old in member.metrics.items()
    }
    finite = functools.reduce(jnp.logical_and, map(jnp.isfinite, metrics.values()))
    goes_on = member.alive & finite
    stepped = member._replace(
      algorithm=state,
      sgd_steps=member.sgd_steps + 1,
      metrics=merged,
      num_metrics=member.num_metrics + 1,
    )
    kept = jax.tree.map(lambda new, old: jnp.where(goes_on, new, old), stepped, member)
    return kept._replace(alive=goes_on)


def _rows_path(folder: str, index: int) -> str:
  return os.path.join(folder, f'replay_{index:04d}.npy')
