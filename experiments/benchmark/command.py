"""Times the agent and its parts, and Acme's own SAC, in one run on one machine.

  python -m experiments.benchmark --env_names=gym:HalfCheetah-v4,gym:Humanoid-v4

Every row has a process of its own, which sets itself up and then waits; the parent
asks them for one window of work after another, round by round, so that a machine
whose speed drifts slows all of them alike. Rates are medians over the rounds, ratios
medians of each round's ratio to that round's bare update. `two_runs` is two whole
agents at the same time, pinned to a core each. Whole agents learn at every step after
a warm-up of 1,000 steps in place of 10,000.

Exit status: 0, or 1 if a row failed, which is then left out.
"""

import multiprocessing
import platform
import resource
import statistics
import sys
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from experiments.benchmark import rows as benchmark_rows
from experiments.benchmark import tasks
from iq_acme import process
from iq_acme.commands import parsing
from iq_acme.storage import files
from iq_acme.training import versions

FLAGS = parsing.new_flags()
_define = parsing.definers(FLAGS)
_define.list('env_names', ['gym:HalfCheetah-v4'], 'Tasks whose shapes are timed.')
_define.list(
  'rows',
  [*benchmark_rows.ROWS, 'two_runs'],
  'Rows; bare_update is always timed. autoregressive_update, and those of 16 and 64 '
  'members, for an accelerator, are timed only if they are named.',
)
_define.integer('rounds', 5, 'Windows of every row.', lower_bound=1)
_define.float('seconds', 5.0, 'Length of a window.', lower_bound=0.01)
_define.string('json', None, 'File for every window and what it ran on.')

_SETUP_SECONDS = 300.0
_TWO_RUNS = 'two_runs'


class Child:
  """A row in a process of its own."""

  def __init__(self, row: str, env_name: str, core: int | None = None):
    """Starts the process; `wait_until_ready` waits for its set-up.

    Args:
      row: a name of `benchmark_rows.ROWS`.
      env_name: the task.
      core: the only core to use; all if None.
    """
    self.row = row
    context = multiprocessing.get_context('spawn')
    self._connection, theirs = context.Pipe()
    self._process = context.Process(
      target=_child_main, args=(theirs, row, env_name, core), daemon=True
    )
    self._process.start()
    theirs.close()

  def wait_until_ready(self) -> None:
    """Waits for the set-up.

    Raises:
      RuntimeError: if it failed or took too long.
    """
    self._receive(_SETUP_SECONDS)

  def start_window(self, seconds: float) -> None:
    """Asks for a window of work."""
    self._connection.send(seconds)

  def end_window(self, seconds: float) -> dict[str, float]:
    """Waits for the window's measurements."""
    return self._receive(60.0 + 20 * seconds)

  def stop(self) -> None:
    """Ends the process."""
    self._process.kill()
    self._process.join()

  def _receive(self, timeout: float) -> dict[str, float]:
    try:
      if not self._connection.poll(timeout):
        raise RuntimeError(f'{self.row} did not answer within {timeout:.0f} s.')
      answer = self._connection.recv()
    except EOFError:
      raise RuntimeError(f'{self.row} died; its last words are above.') from None
    if 'error' in answer:
      raise RuntimeError(f'{self.row} failed: {answer["error"]}')
    return answer


def _child_main(
  connection: Connection, row: str, env_name: str, core: int | None
) -> None:
  """Sets a row up, then works a window whenever it is asked to."""
  try:
    if core is not None:
      process.limit_threads(1, core)
    work = {**benchmark_rows.ROWS, **benchmark_rows.MORE_ROWS}[row](env_name)
    next(work)
    work.send(0.2)
    connection.send({})
    while True:
      seconds = connection.recv()
      start, cpu = time.perf_counter(), _cpu_seconds()
      count = work.send(seconds)
      connection.send(
        {
          'count': count,
          'wall': time.perf_counter() - start,
          'cpu': _cpu_seconds() - cpu,
          'peak_mib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
      )
  except EOFError:
    pass
  except Exception:
    connection.send({'error': traceback.format_exc()})


def _cpu_seconds() -> float:
  usage = resource.getrusage(resource.RUSAGE_SELF)
  return usage.ru_utime + usage.ru_stime


def measure(env_name: str, rows: Sequence[str]) -> dict[str, list[dict[str, float]]]:
  """Times rows of one task.

  Args:
    env_name: the task.
    rows: names of `benchmark_rows.ROWS`, or 'two_runs'.

  Returns:
    The windows of every row that could be set up and timed.
  """
  groups: dict[str, list[Child]] = {}
  windows: dict[str, list[dict[str, float]]] = {}
  try:
    for row in rows:
      if row == _TWO_RUNS:
        groups[row] = [Child('default_agent', env_name, core) for core in (0, 1)]
      else:
        groups[row] = [Child(row, env_name)]
      _guard(groups, row, lambda child: child.wait_until_ready())
    for _ in range(FLAGS.rounds):
      for row in list(groups):
        _guard(groups, row, lambda child: child.start_window(FLAGS.seconds))
        results = _guard(groups, row, lambda child: child.end_window(FLAGS.seconds))
        if row in groups:
          windows.setdefault(row, []).append(_sum_side_by_side(results))
  finally:
    for children in groups.values():
      for child in children:
        child.stop()
  return {row: windows[row] for row in groups}


def _guard(groups: dict[str, list[Child]], row: str, call: Any) -> list[Any]:
  """Calls every child of a row; drops the row if one fails."""
  try:
    return [call(child) for child in groups.get(row, [])]
  except RuntimeError as error:
    print(f'Left out: {error}', file=sys.stderr)
    for child in groups.pop(row):
      child.stop()
    return []


def _sum_side_by_side(results: list[dict[str, float]]) -> dict[str, float]:
  """Adds up the rates and the memory of runs side by side."""
  wall = max(result['wall'] for result in results)
  rate = sum(result['count'] / result['wall'] for result in results)
  return {
    'count': sum(result['count'] for result in results),
    'wall': wall,
    'rate': rate,
    'cpu': sum(result['cpu'] for result in results),
    'peak_mib': sum(result['peak_mib'] for result in results),
  }


def table(windows: dict[str, list[dict[str, float]]]) -> str:
  """Returns the measurements as a Markdown table, medians over rounds.

  Args:
    windows: what `measure` returned, the bare update among it.

  Returns:
    One line per row: rate, its range, its ratio to the bare update, CPU, memory.
  """
  lines = [
    '| row | per second | range | of the bare update | CPU ms each | peak MiB |',
    '|---|---|---|---|---|---|',
  ]
  bare = [window['rate'] for window in windows['bare_update']]
  for row, results in windows.items():
    rates = [result['rate'] for result in results]
    ratio = statistics.median(rate / base for rate, base in zip(rates, bare))
    cpu = statistics.median(1e3 * r['cpu'] / max(r['count'], 1) for r in results)
    lines.append(
      f'| `{row}` | {statistics.median(rates):,.0f} | {min(rates):,.0f} to '
      f'{max(rates):,.0f} | {ratio:.2f} | {cpu:.2f} | '
      f'{results[-1]["peak_mib"]:,.0f} |'
    )
  return '\n'.join(lines)


def memory_line(env_name: str) -> str:
  """Returns what a stored transition of a task takes."""
  _, spec = tasks.environment_and_spec(env_name)
  from iq_acme.transitions import TransitionPacking

  num_bytes = TransitionPacking(spec).num_bytes
  return (
    f'A stored transition takes {num_bytes:,} bytes; a million of them '
    f'{num_bytes:,} MB.'
  )


def main() -> int:
  """Times what the flags name; returns the exit status."""
  unknown = set(FLAGS.rows) - {
    *benchmark_rows.ROWS,
    *benchmark_rows.MORE_ROWS,
    _TWO_RUNS,
  }
  if unknown:
    raise parsing.Refusal(f'rows names {", ".join(sorted(unknown))}, which are none.')
  rows = list(dict.fromkeys(['bare_update', *FLAGS.rows]))
  results = {}
  for env_name in FLAGS.env_names:
    results[env_name] = measure(env_name, rows)
    if 'bare_update' not in results[env_name]:
      return 1
    print(f'\n## {env_name}\n\n{table(results[env_name])}\n\n{memory_line(env_name)}')
  if FLAGS.json:
    record = {**versions.collect_versions(), 'cpu': _cpu_model(), 'windows': results}
    files.write_json(FLAGS.json, record)
  return int(any(set(found) != set(rows) for found in results.values()))


def _cpu_model() -> str:
  try:
    with open('/proc/cpuinfo') as file:
      names = [line.partition(':')[2] for line in file if line.startswith('model name')]
    return names[0].strip()
  except (OSError, IndexError):
    return platform.processor()
