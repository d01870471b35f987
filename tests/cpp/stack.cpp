// Work on threads of the pool that needs 512 KiB of stack, where the C library would give 128: ends if there is room.
#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdio>

#include "threads/pool.hpp"

namespace {

std::atomic<int> on_workers{0};

void deep(void*, std::int64_t, int participant) {
  volatile char room[std::size_t{512} << 10];
  for (std::size_t i = 0; i < sizeof room; i += 1024) room[i] = 1;
  if (participant != 0) on_workers.fetch_add(1);
}

}  // namespace

int main() {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, std::size_t{128} << 10);
  if (pthread_setattr_default_np(&small) != 0) return 2;
  fastopt::threads::set_size(3);
  fastopt::threads::set_eager(true);
  for (int turn = 0; turn < 10000 && on_workers.load() < 10; ++turn) fastopt::threads::run(64, 1e6, 3, nullptr, deep);
  std::printf("%s\n", on_workers.load() > 0 ? "there is room" : "no worker came");
}
