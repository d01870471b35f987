// Preloaded into a process: while armed, the N-th allocation that the engine asks for fails (and all after it, if so
// wanted). Only what is asked for by an extension module of fastopt counts, directly or through the C++ runtime, so Python's
// and NumPy's own allocations neither fail nor disturb the counting. For glibc.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#include <atomic>
#include <cerrno>
#include <new>

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
}

namespace {

std::atomic<bool> armed{false}, onwards{false};
std::atomic<long> countdown{0}, seen{0}, failed{0};
__attribute__((tls_model("initial-exec"))) thread_local bool looking = false;

const char* object_of(void* address) {
  Dl_info info;
  return dladdr(address, &info) && info.dli_fname ? info.dli_fname : "";
}

// The first frame outside of this file and of the C++ runtime tells whose allocation it is.
_Unwind_Reason_Code look(_Unwind_Context* context, void* ours) {
  const char* object = object_of(reinterpret_cast<void*>(_Unwind_GetIP(context)));
  if (strstr(object, "failing_allocator") || strstr(object, "libstdc++") || strstr(object, "libgcc_s"))
    return _URC_NO_REASON;
  const char* name = strrchr(object, '/');
  *static_cast<bool*>(ours) = name && strncmp(name, "/_core", 6) == 0;
  return _URC_END_OF_STACK;
}

bool refuse() {
  if (!armed.load() || looking) return false;
  looking = true;
  bool ours = false;
  _Unwind_Backtrace(&look, &ours);
  looking = false;
  if (!ours) return false;
  ++seen;
  const long left = --countdown;
  if (left != 0 && !(left < 0 && onwards)) return false;
  ++failed;
  errno = ENOMEM;
  return true;
}

void* take(size_t bytes) { return refuse() ? nullptr : __libc_malloc(bytes ? bytes : 1); }
void* take(size_t bytes, size_t align) { return refuse() ? nullptr : __libc_memalign(align, bytes ? bytes : 1); }
void* or_throw(void* p) {
  if (!p) throw std::bad_alloc();
  return p;
}

}  // namespace

extern "C" {
void failing_allocator_arm(long nth, int all_after) {
  seen = failed = 0;
  countdown = nth;
  onwards = all_after != 0;
  armed = true;
}
void failing_allocator_disarm() { armed = false; }
long failing_allocator_seen() { return seen; }
long failing_allocator_failed() { return failed; }

void* malloc(size_t bytes) { return refuse() ? nullptr : __libc_malloc(bytes); }
void* calloc(size_t count, size_t bytes) { return refuse() ? nullptr : __libc_calloc(count, bytes); }
void* realloc(void* p, size_t bytes) { return refuse() ? nullptr : __libc_realloc(p, bytes); }
void* memalign(size_t align, size_t bytes) { return refuse() ? nullptr : __libc_memalign(align, bytes); }
void* aligned_alloc(size_t align, size_t bytes) { return refuse() ? nullptr : __libc_memalign(align, bytes); }
int posix_memalign(void** p, size_t align, size_t bytes) {
  if (refuse()) return ENOMEM;
  *p = __libc_memalign(align, bytes);
  return *p ? 0 : ENOMEM;
}
}

void* operator new(size_t n) { return or_throw(take(n)); }
void* operator new[](size_t n) { return or_throw(take(n)); }
void* operator new(size_t n, std::align_val_t a) { return or_throw(take(n, size_t(a))); }
void* operator new[](size_t n, std::align_val_t a) { return or_throw(take(n, size_t(a))); }
void* operator new(size_t n, const std::nothrow_t&) noexcept { return take(n); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return take(n); }
void* operator new(size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return take(n, size_t(a)); }
void* operator new[](size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return take(n, size_t(a)); }
void operator delete(void* p) noexcept { free(p); }
void operator delete[](void* p) noexcept { free(p); }
void operator delete(void* p, size_t) noexcept { free(p); }
void operator delete[](void* p, size_t) noexcept { free(p); }
void operator delete(void* p, std::align_val_t) noexcept { free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { free(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { free(p); }
