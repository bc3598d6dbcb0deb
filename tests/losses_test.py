import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iq_acme import losses

# Three transitions in columns, with temperature 0.5 and coefficient 0.9:
#   going on: the episode goes on; end: it terminated; cut: a time limit cut it off,
#   which is no end, so its discount is that of a step that goes on.
V_TM1 = np.array([1.0, -2.0, 3.0])
LOG_PROB = np.array([-2.0, -1.0, -4.0])
TARGET_LOG_PROB = np.array([-3.0, -0.5, -1.0])
REWARD = np.array([1.0, -1.0, 2.0])
DISCOUNT = np.array([0.9, 0.0, 0.9])
V_T = np.array([10.0, 100.0, -5.0])
ARGS = (V_TM1, LOG_PROB, TARGET_LOG_PROB, REWARD, DISCOUNT, V_T)
GOING_ON, END, CUT = 0, 1, 2

# alpha = 0.9, tau = 0.5:
#   Q(s, a) = 0.5 * -2 + 1 = 0;  0.5 * -1 - 2 = -2.5;  0.5 * -4 + 3 = 1
#   Munchausen = 0.45 * -3 = -1.35;  0.45 * -0.5 = -0.225;  0.45 * -1 = -0.45
#   going on: 1 - 1.35 + 0.9 * 10 - 0 = 8.65
#   end: -1 - 0.225 + 0 - (-2.5) = 1.275
#   cut: 2 - 0.45 + 0.9 * -5 - 1 = -3.95
M_IQ_ERRORS = np.array([8.65, 1.275, -3.95])
# alpha = 0: the same without the Munchausen term.
#   1 + 9 - 0 = 10;  -1 + 2.5 = 1.5;  2 - 4.5 - 1 = -3.5
IQ_ERRORS = np.array([10.0, 1.5, -3.5])


def td_errors(*args, **settings):
  settings = {'temperature': 0.5, 'munchausen_coefficient': 0.9, **settings}
  return jax.vmap(lambda *args: losses.iq_td_error(*args, **settings))(
    *(jnp.asarray(arg, jnp.float32) for arg in args)
  )


def gradients(column, **settings):
  """d error / d argument at one transition, for every argument of `iq_td_error`."""
  settings = {'temperature': 0.5, 'munchausen_coefficient': 0.9, **settings}
  return jax.grad(
    lambda args: losses.iq_td_error(*args, **settings),
  )(tuple(jnp.float32(arg[column]) for arg in ARGS))


@pytest.mark.parametrize('wrap', [lambda f: f, jax.jit], ids=['eager', 'jit'])
@pytest.mark.parametrize(
  ('coefficient', 'expected'), [(0.9, M_IQ_ERRORS), (0.0, IQ_ERRORS)]
)
@pytest.mark.parametrize('stop', [True, False])
def test_td_error_is_equation_2(wrap, coefficient, expected, stop):
  def function(*args):
    return td_errors(
      *args, munchausen_coefficient=coefficient, stop_bootstrap_gradients=stop
    )

  np.testing.assert_allclose(wrap(function)(*ARGS), expected, rtol=1e-6)


def test_loss_is_the_mean_of_the_squared_errors():
  # (8.65^2 + 1.275^2 + 3.95^2) / 3 = (74.8225 + 1.625625 + 15.6025) / 3
  loss = losses.iq_loss(td_errors(*ARGS))
  np.testing.assert_allclose(loss, 92.050625 / 3, rtol=1e-6)


def test_munchausen_term_is_bounded_in_units_of_reward():
  # The terms are -1.35, -0.225, -0.45: of a bound of 0.3 only the second is within.
  expected = [8.65 + 1.05, 1.275, -3.95 + 0.15]
  np.testing.assert_allclose(
    td_errors(*ARGS, munchausen_bound=0.3), expected, rtol=1e-6
  )
  # A density's log can be positive: 0.45 * 2 = 0.9, bounded to 0.3.
  args = [*ARGS[:2], np.full(3, 2.0), *ARGS[3:]]
  np.testing.assert_allclose(
    td_errors(*args, munchausen_bound=0.3), IQ_ERRORS + 0.3, rtol=1e-6
  )


def test_advantage_is_bounded_in_q_and_in_the_munchausen_term():
  # tau log pi: -1, -0.5, -2, and of the target -1.5, -0.25, -0.5; bounded at 0.6:
  #   going on: 1 - 0.9 * 0.6 + 9 - (-0.6 + 1) = 9.06
  #   end: -1 - 0.225 - (-0.5 - 2) = 1.275, as without
  #   cut: 2 - 0.45 - 4.5 - (-0.6 + 3) = -5.35
  np.testing.assert_allclose(
    td_errors(*ARGS, advantage_bound=0.6), [9.06, 1.275, -5.35], rtol=1e-6
  )
  bounded = gradients(GOING_ON, advantage_bound=0.6)
  assert bounded[0] == -1.0  # V learns all that is left.
  assert bounded[1] == 0.0  # Log pi nothing more.
  assert gradients(END, advantage_bound=0.6)[1] == -0.5  # Within the bound: -tau.


def test_action_known_to_be_bad_has_no_error_that_asks_for_worse():
  # tau log pi: -1, -0.5, -2; errors: 8.65, 1.275, -3.95. Below a bound of 0.6 are the
  # first and the last, of which the last asks for worse.
  found = td_errors(*ARGS, disadvantage_bound=0.6)
  np.testing.assert_allclose(found, [8.65, 1.275, 0.0], rtol=1e-6)
  assert gradients(CUT, disadvantage_bound=0.6) == (0.0,) * 6
  assert gradients(GOING_ON, disadvantage_bound=0.6) == gradients(GOING_ON)
  # Not known yet to be as bad as the bound: Eq. 2 as it is.
  np.testing.assert_array_equal(
    td_errors(*ARGS, disadvantage_bound=2.1), td_errors(*ARGS)
  )


def test_control_variate_has_value_zero_and_takes_the_mean_error_from_the_policy():
  errors, log_probs = jnp.array([1.0, 2.0, 6.0]), jnp.array([-1.0, -2.0, -3.0])
  value, slope = jax.value_and_grad(losses.policy_control_variate, argnums=1)(
    errors, log_probs, 0.5
  )
  assert value == 0.0
  # The loss's slopes are 2 / 3 * error * -0.5 each; with the mean 3 taken out, 2 / 3 *
  # (error - 3) * -0.5, that is 1 more.
  np.testing.assert_allclose(slope, [1.0, 1.0, 1.0], rtol=1e-6)
  through_errors = jax.grad(losses.policy_control_variate)(errors, log_probs, 0.5)
  np.testing.assert_array_equal(through_errors, np.zeros(3))


def test_terminal_transition_does_not_bootstrap():
  elsewhere = list(ARGS)
  elsewhere[5] = V_T + 1e6
  assert td_errors(*elsewhere)[END] == td_errors(*ARGS)[END]


@pytest.mark.parametrize('column', [GOING_ON, CUT])
def test_transition_that_goes_on_or_is_cut_off_bootstraps(column):
  elsewhere = list(ARGS)
  elsewhere[5] = V_T + 10.0
  change = td_errors(*elsewhere)[column] - td_errors(*ARGS)[column]
  np.testing.assert_allclose(change, 9.0, rtol=1e-5)  # 0.9 * 10


def test_target_log_policy_lowers_the_error_in_proportion_to_the_coefficient():
  # Less likely under the target policy by 1 nat: alpha * tau * -1 = -0.45.
  elsewhere = list(ARGS)
  elsewhere[2] = TARGET_LOG_PROB - 1.0
  np.testing.assert_allclose(td_errors(*elsewhere) - td_errors(*ARGS), -0.45, rtol=1e-4)


@pytest.mark.parametrize('stop', [True, False])
def test_gradient_reaches_value_and_policy_and_stops_at_the_munchausen_term(stop):
  value, log_prob, target_log_prob, *_ = gradients(
    GOING_ON, stop_bootstrap_gradients=stop
  )
  assert value == -1.0  # d error / d V(s)
  assert log_prob == -0.5  # d error / d log pi(a|s) = -tau
  assert target_log_prob == 0.0


def test_no_gradient_flows_through_a_target_bootstrap():
  assert gradients(GOING_ON)[5] == 0.0


@pytest.mark.parametrize('column', [GOING_ON, END, CUT])
def test_gradient_of_an_online_bootstrap_is_the_discount(column):
  bootstrap = gradients(column, stop_bootstrap_gradients=False)[5]
  np.testing.assert_allclose(bootstrap, DISCOUNT[column])


@pytest.mark.parametrize('argument', range(6))
def test_only_scalars_are_taken_so_that_nothing_broadcasts(argument):
  args = [jnp.float32(1.0)] * 6
  args[argument] = jnp.ones(2)
  with pytest.raises(AssertionError):
    losses.iq_td_error(*args, temperature=0.5, munchausen_coefficient=0.9)


def test_integer_rewards_are_refused():
  args = [jnp.float32(1.0)] * 6
  args[3] = jnp.int32(1)
  with pytest.raises(AssertionError):
    losses.iq_td_error(*args, temperature=0.5, munchausen_coefficient=0.9)


# Eq. 1: the policy is the softmax of Q, and V its soft value, whatever the two are.

TEMPERATURES = (1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0)


def enumerated_policies():
  """log pi(.|s) of 5 states over 7 actions in float64, from flat to all but sure."""
  logits = (
    np.random.default_rng(0).normal(size=(5, 7)) * np.logspace(-2, 1.5, 5)[:, None]
  )
  return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize('temperature', TEMPERATURES)
def test_policy_is_the_softmax_of_q_over_the_temperature(temperature):
  log_policy = enumerated_policies()
  values = np.array([0.0, 1.0, -3.0, 20.0, -0.5])[:, None]
  q_values = losses.implicit_q_value(log_policy, values, temperature)
  scaled = (q_values - q_values.max(-1, keepdims=True)) / temperature
  softmax = np.exp(scaled) / np.exp(scaled).sum(-1, keepdims=True)
  # Rounding of Q in float64, in units of the temperature.
  tolerance = 8 * np.finfo(np.float64).eps * (1 + np.abs(q_values).max() / temperature)
  np.testing.assert_allclose(softmax, np.exp(log_policy), rtol=tolerance)


@pytest.mark.parametrize('temperature', TEMPERATURES)
def test_value_is_the_soft_value_of_q(temperature):
  log_policy = enumerated_policies()
  values = np.array([0.0, 1.0, -3.0, 20.0, -0.5])
  q_values = losses.implicit_q_value(log_policy, values[:, None], temperature)
  soft = losses.soft_value(jnp.asarray(q_values, jnp.float32), temperature)
  scale = np.abs(values) + temperature * np.abs(log_policy).max(-1)
  error = np.abs(soft - values)
  assert np.all(error <= 8 * np.finfo(np.float32).eps * (scale + temperature))


def test_soft_value_of_hand_computed_q_values():
  # tau = 2: 2 ln(e^(0/2) + e^(2 ln 3 / 2)) = 2 ln(1 + 3)
  np.testing.assert_allclose(
    losses.soft_value(jnp.array([0.0, 2 * np.log(3)]), 2.0), 2 * np.log(4), rtol=1e-6
  )


def test_soft_value_stays_finite_at_the_smallest_temperature():
  # As tau -> 0 the soft value is the largest Q.
  q_values = jnp.array([1_000.0, 999.0, -1_000.0])
  np.testing.assert_allclose(losses.soft_value(q_values, 1e-4), 1_000.0, rtol=1e-6)
