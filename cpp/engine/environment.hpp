// Steps run in the default floating-point environment (round to nearest, subnormals kept, no traps), whatever the caller
// or another library has set for this thread; the caller's is restored.
#pragma once
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#else
#include <cfenv>
#endif

namespace fastopt::engine {

class DefaultEnvironment {
 public:
#if defined(__x86_64__) || defined(_M_X64)
  DefaultEnvironment() noexcept : saved_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
  ~DefaultEnvironment() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#else
  DefaultEnvironment() noexcept {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultEnvironment() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
#endif
 public:
  DefaultEnvironment(const DefaultEnvironment&) = delete;
  DefaultEnvironment& operator=(const DefaultEnvironment&) = delete;
};

}  // namespace fastopt::engine
