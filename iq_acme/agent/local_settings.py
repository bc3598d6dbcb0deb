"""What a local agent needs to know besides its parts."""

import dataclasses

from iq_acme import fields


@fields.documented
@dataclasses.dataclass(frozen=True)
class LocalSettings:
  """Says what a local agent needs to know besides its parts.

  Raises:
    ValueError: on construction, naming the field, its value and what is allowed.
  """

  batch_size: int = fields.integer(fields.REQUIRED, 'Transitions per SGD step.')
  min_replay_size: int = fields.integer(
    fields.REQUIRED,
    'Environment steps before the first SGD step is due, less the demonstrations.',
    least=0,
  )
  samples_per_step: float = fields.number(
    fields.REQUIRED, 'Sampled transitions per environment step.'
  )
  num_sgd_steps_per_step: int = fields.integer(
    1, "SGD steps that one call of the learner's `step` takes."
  )
  workdir: str | None = fields.free(
    None, 'Where checkpoints go and are restored from; none are made if None.'
  )
  checkpoint_every: int | None = fields.integer(
    None,
    'Environment steps between checkpoints made by `update`; None leaves them to '
    'calls of `save`.',
    optional=True,
  )
  keep_checkpoints: int = fields.integer(2, 'How many of the newest are kept.')
  checkpoint_replay: bool = fields.boolean(
    True,
    'Whether checkpoints hold what is in replay. If they do not, a resumed run acts by '
    'its policy, without learning, until replay is filled.',
  )

  def __post_init__(self):
    fields.check(self)
    if self.checkpoint_every is not None and self.workdir is None:
      raise ValueError('checkpoint_every is set but workdir is None: nowhere to save.')
