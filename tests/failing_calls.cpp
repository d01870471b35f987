// Preloaded into a process: the N-th system call that touches a chosen folder fails, writes less than it was asked to, or
// kills the process just before or just after it. What is counted: open, write, fsync, fchmod, close, rename, unlink. For
// glibc.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace {

constexpr int most_files = 1024;
enum Mode { off, error, short_write, kill_before, kill_after };

const char* folder = nullptr;
bool inside[most_files];  // descriptors of files in the folder, and of the folder
long countdown = 0, seen = 0;
int code = 0;
Mode mode = off;
char last[32];  // the call that it was

bool below(const char* path) { return folder != nullptr && path != nullptr && strncmp(path, folder, strlen(folder)) == 0; }
bool below(int file) { return file >= 0 && file < most_files && inside[file]; }

// Of the chosen call: true if it is to fail.
bool due(const char* name) {
  if (mode == off) return false;
  ++seen;
  if (--countdown != 0) return false;
  strncpy(last, name, sizeof last - 1);
  if (mode == kill_before) kill(getpid(), SIGKILL);
  if (mode != error) return false;
  errno = code;
  return true;
}
bool chosen() { return mode != off && countdown == 0; }
template <class T>
T done(T result) {
  const int kept = errno;
  if (mode == kill_after && chosen()) kill(getpid(), SIGKILL);
  errno = kept;
  return result;
}
template <class F>
F next(const char* name, F) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

int opened(const char* path, int file) {
  if (file >= 0 && file < most_files) inside[file] = below(path);
  return file;
}

}  // namespace

extern "C" {

// mode: 1 the call fails with this error; 2 a write takes half; 3, 4 the process is killed before, after it.
void failing_calls_arm(const char* below_folder, long nth, int how, int error_number) {
  folder = below_folder;
  countdown = nth;
  code = error_number;
  seen = 0;
  last[0] = 0;
  mode = static_cast<Mode>(how);
}
long failing_calls_disarm() {
  mode = off;
  return seen;
}
const char* failing_calls_last() { return last; }

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t permissions = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (below(path) && due("open")) return -1;
  return done(opened(path, next("open64", open64)(path, flags, permissions)));
}
int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t permissions = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (below(path) && due("open")) return -1;
  return done(opened(path, next("open", open)(path, flags, permissions)));
}
ssize_t write(int file, const void* data, size_t bytes) {
  if (below(file) && due("write")) return -1;
  if (below(file) && chosen() && mode == short_write) bytes = bytes > 1 ? bytes / 2 : bytes;
  return done(next("write", write)(file, data, bytes));
}
int fsync(int file) {
  if (below(file) && due("fsync")) return -1;
  return done(next("fsync", fsync)(file));
}
int fchmod(int file, mode_t permissions) {
  if (below(file) && due("fchmod")) return -1;
  return done(next("fchmod", fchmod)(file, permissions));
}
int close(int file) {
  const bool counted = below(file);
  if (file >= 0 && file < most_files) inside[file] = false;
  const bool fails = counted && due("close");
  const int result = next("close", close)(file);  // closed all the same, as Linux does
  if (!fails) return done(result);
  errno = code;
  return -1;
}
int rename(const char* from, const char* to) {
  if (below(from) && due("rename")) return -1;
  return done(next("rename", rename)(from, to));
}
int unlink(const char* path) {
  if (below(path) && due("unlink")) return -1;
  return done(next("unlink", unlink)(path));
}
}
