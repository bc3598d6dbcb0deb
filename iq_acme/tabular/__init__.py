"""The paper's analysis (Section 3) and its Section 4, executable on finite MDPs.

Pure numpy in float64, exact where the agent is approximate: IQ-DP (`iq_dp`), MD-VI
from its own definition (`md_vi`), Theorem 2 with explicit remainders
(`error_propagation`), the dueling limit (`dueling`) and what a factorised policy
cannot hold (`factorisation`), on the MDPs of `mdp`. Everything is vectorised over
MDPs stacked along leading dimensions.

Conventions
- V_0 = 0 and pi_1 is uniform. Update k = 0, 1, ... goes from (pi_{k+1}, V_k) to
  (pi_{k+2}, V_{k+1}) by Eq. 3 and makes the error epsilon_k.
- Theorem 2 bounds the policy after update k, pi_{k+2}, which epsilon_k is the last
  error to act on. Its sums start at j = 0 here; the paper's start at 1, which is the
  case epsilon_0 = 0.
- alpha is in [0, 1], both ends included, and tau > 0. eta = (1 - alpha) tau is the
  temperature of the regularised MDP that Theorem 2 speaks of; at alpha = 1 it is 0.
- Q_pi does not count the entropy of its first action (line 126).

Slips in the text, by its line numbers, and what is read instead
- Line 69: Q_pi = r + E[V_pi(s')] lacks the discount. Read: r + gamma E[V_pi(s')].
- Line 78: the greedy step maximises E[Q + tau ln pi], which rewards low entropy.
  Read: E[Q - tau ln pi]; its solution on line 80 is the softmax only then.
- Line 105: alpha in (0, 1), while lines 146 to 149 and Theorem 2 use 0 and 1.
- Theorem 1: "for any k >= 1" leaves open where (pi_2, V_1) comes from. Read: k >= 0.
- Lines 167 and 175: the sentence speaks of pi_{k+1}, the displays of pi_k, though
  epsilon_k by its definition first acts on pi_{k+2}. Read: pi_{k+2} throughout. At
  alpha = 1 O(1/k) absorbs the shift; below 1 nothing does.
- Theorem 2, case 1: stated for 0 < alpha < 1; it holds at alpha = 0 too, and its
  o(1/k) decays geometrically.
- Lines 187 and 188: epsilon_k inside sums over j. Read: epsilon_j.
- Line 198: the solution of the greedy step has pi_k^alpha. Read: pi_{k+1}^alpha.
- Line 226 scales the logits by 1/tau, the display after line 263 does not. Both
  give policies of one family; Section 3.3's limit needs the scaled one.
"""

from iq_acme.tabular.dueling import (
  max_advantage,
  mean_advantage,
  mean_value_shortfall,
  soft_advantage,
)
from iq_acme.tabular.error_propagation import (
  ERROR_KINDS,
  PropagationTrace,
  draw_errors,
  g2_remainder,
  propagate_errors,
)
from iq_acme.tabular.factorisation import (
  additive_projection,
  factored_mdp,
  kl_divergence,
  marginals,
  total_correlation,
)
from iq_acme.tabular.iq_dp import (
  IQIterate,
  advantage_learning_step,
  initial_iterate,
  iq_dp_step,
  iterate_policy,
  run_iq_dp,
)
from iq_acme.tabular.md_vi import MDVIIterate, md_vi_step
from iq_acme.tabular.mdp import (
  FiniteMDP,
  bellman,
  bootstrap,
  entropy,
  garnet,
  log_sum_exp,
  optimal_q,
  optimality_bellman,
  policy_q,
  softmax,
  two_state_mdp,
)

__all__ = [
  'ERROR_KINDS',
  'FiniteMDP',
  'IQIterate',
  'MDVIIterate',
  'PropagationTrace',
  'additive_projection',
  'advantage_learning_step',
  'bellman',
  'bootstrap',
  'draw_errors',
  'entropy',
  'factored_mdp',
  'g2_remainder',
  'garnet',
  'initial_iterate',
  'iq_dp_step',
  'iterate_policy',
  'kl_divergence',
  'log_sum_exp',
  'marginals',
  'max_advantage',
  'md_vi_step',
  'mean_advantage',
  'mean_value_shortfall',
  'optimal_q',
  'optimality_bellman',
  'policy_q',
  'propagate_errors',
  'run_iq_dp',
  'soft_advantage',
  'softmax',
  'total_correlation',
  'two_state_mdp',
]
