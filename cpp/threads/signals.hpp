// Threads that are started while one lives take no signal that is sent to the process: those are Python's. A fault of their
// own stays theirs, so that a handler (faulthandler, a crash reporter) can tell where it was.
#pragma once

#if defined(__unix__) || defined(__APPLE__)
#include <signal.h>

namespace fastopt::threads {

class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t set;
    sigfillset(&set);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) sigdelset(&set, fault);
    pthread_sigmask(SIG_SETMASK, &set, &old_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t old_;
};

}  // namespace fastopt::threads
#else
namespace fastopt::threads {
struct SignalsBlocked {
  SignalsBlocked() noexcept {}
  ~SignalsBlocked() {}
};
}  // namespace fastopt::threads
#endif
