// The policy as a function for ctypes: policy_plugin.py puts it in the module's place.
#include "threads/policy.hpp"

extern "C" int choose_width(double work_ns, long chunks, int most, int awake, int streak, double wake_ns, int paused) {
  fastopt::threads::policy::Question q;
  q.work_ns = work_ns;
  q.chunks = chunks;
  q.most = most;
  q.awake = awake;
  q.streak = streak;
  q.wake_ns = wake_ns;
  q.paused = paused != 0;
  return fastopt::threads::policy::width(q);
}
