"""How a program would scale, from what one step costs each of its nodes: a model.

Every actor has a core of its own; learner, replay server and counter have a core each,
and an SGD step takes its CPU seconds: a learner of one thread, not one with a GPU. Each
node does one thing at a time. With `u` SGD steps per environment step, so many
environment steps per second are the most that each can sustain:

    actors    num_actors / actor_seconds
    learner   1 / (u * update_seconds + transport_seconds)
    replay    1 / replay_seconds
    counter   1 / counter_seconds

The smallest is what the program does, and its node is the one that saturates first. The
network carries, per environment step, `transition_bytes` twice (to the replay server,
and from there to the learner) and `policy_bytes / variable_update_period` from the
learner to the actors.
"""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class NodeCosts:
  """What is measured.

  Attributes:
    actor_seconds: CPU seconds of an actor per environment step.
    update_seconds: CPU seconds of the learner per SGD step.
    transport_seconds: CPU seconds of the learner per environment step, for taking
      transitions in and handing parameters out.
    replay_seconds: CPU seconds of the replay server per environment step.
    counter_seconds: CPU seconds of the counter per environment step.
    transition_bytes: size of a stored transition.
    policy_bytes: size of the policy's parameters.
    variable_update_period: environment steps of an actor between fetches of them.
  """

  actor_seconds: float
  update_seconds: float
  transport_seconds: float
  replay_seconds: float
  counter_seconds: float
  transition_bytes: int
  policy_bytes: int
  variable_update_period: int


@dataclasses.dataclass(frozen=True)
class Prediction:
  """What the model says of a program.

  Attributes:
    num_actors: its actors.
    steps_per_second: environment steps, over all actors.
    updates_per_second: SGD steps.
    bytes_per_second: what the network carries, over all links.
    bottleneck: the node that saturates first.
  """

  num_actors: int
  steps_per_second: float
  updates_per_second: float
  bytes_per_second: float
  bottleneck: str


def predict(costs: NodeCosts, num_actors: int, updates_per_step: float) -> Prediction:
  """Applies the model of this module's docstring.

  Args:
    costs: what a step costs each node.
    num_actors: actors.
    updates_per_step: SGD steps per environment step, `samples_per_insert` over the
      batch size.

  Returns:
    The prediction.
  """
  limits = {
    'actors': num_actors / costs.actor_seconds,
    'learner': 1.0
    / (updates_per_step * costs.update_seconds + costs.transport_seconds),
    'replay': 1.0 / costs.replay_seconds,
    'counter': 1.0 / costs.counter_seconds,
  }
  bottleneck = min(limits, key=limits.get)
  steps = limits[bottleneck]
  bytes_per_step = (
    2 * costs.transition_bytes + costs.policy_bytes / costs.variable_update_period
  )
  return Prediction(
    num_actors, steps, steps * updates_per_step, steps * bytes_per_step, bottleneck
  )


def solve_learner_costs(
  windows: Sequence[tuple[float, float, float]],
) -> tuple[float, float]:
  """Tells what updates cost the learner from what transitions cost it.

  Args:
    windows: two measurements at different ratios: CPU seconds of the learner, its SGD
      steps and the environment steps meanwhile.

  Returns:
    CPU seconds per SGD step and per environment step: the solution of
    cpu = updates * update_seconds + steps * transport_seconds for both windows.
  """
  (cpu_a, updates_a, steps_a), (cpu_b, updates_b, steps_b) = windows
  determinant = updates_a * steps_b - updates_b * steps_a
  update_seconds = (cpu_a * steps_b - cpu_b * steps_a) / determinant
  transport_seconds = (updates_a * cpu_b - updates_b * cpu_a) / determinant
  return update_seconds, transport_seconds


def table(predictions: Sequence[Prediction]) -> str:
  """Returns predictions as a Markdown table."""
  lines = [
    '| actors | env steps/s | updates/s | network MB/s | saturates first |',
    '|---|---|---|---|---|',
  ]
  lines += [
    f'| {p.num_actors:,} | {p.steps_per_second:,.0f} | {p.updates_per_second:,.0f} | '
    f'{p.bytes_per_second / 1e6:,.1f} | {p.bottleneck} |'
    for p in predictions
  ]
  return '\n'.join(lines)
