"""Which members are trained together."""

import dataclasses

import pytest
from counting_members import member, members, run

from iq_acme.population.members import group

pytestmark = pytest.mark.core


def test_groups_are_of_one_program(tmp_path):
  numbers = [member(tmp_path, 0, temperature=x) for x in (0.1, 0.2)]
  zero = member(tmp_path, 0, munchausen_coefficient=0.0)
  sizes = member(tmp_path, 0, num_action_values=5)
  bounded = [member(tmp_path, 0, advantage_bound=x) for x in (1.0, 2.0)]
  scaled = [
    member(tmp_path, 0, temperature=x, scale_logits_by_temperature=True)
    for x in (0.1, 0.2)
  ]
  longer = member(tmp_path, 5, num_steps=80)
  groups = group([*numbers, zero, sizes, *bounded, *scaled, longer])
  expected = [[*numbers, zero], [sizes], bounded, [scaled[0]], [scaled[1]], [longer]]
  assert groups == expected


def test_groups_are_no_larger_than_what_fits_but_for_those_that_have_begun(tmp_path):
  run(tmp_path)
  seeds = [member(tmp_path, seed) for seed in range(3, 6)]
  begun = members(tmp_path)
  assert group(seeds, at_once=2) == [seeds[:2], seeds[2:]]
  mixed = [seeds[0], begun[0], begun[1], seeds[1], begun[2]]
  assert group(mixed, at_once=2) == [seeds[:2]]
  longer = [
    dataclasses.replace(x, settings=dataclasses.replace(x.settings, num_steps=60))
    for x in mixed
  ]
  theirs = [longer[1], longer[2], longer[4]]
  assert group(longer, at_once=1) == [theirs, [longer[0]], [longer[3]]]
