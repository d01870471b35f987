// A worker's thread. Its stack has room for the work: of its own accord musl gives 128 KiB and macOS 512, and the
// eigensolver has used 200 (docs/design/threads.md). std::thread has no say in it; Windows gives 1 MiB.
#pragma once
#include <cstddef>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>

#include <memory>
#include <system_error>

namespace fastopt::threads {

class Thread {
 public:
  // Throws where the system has no thread to give.
  template <class Work>
  void start(Work work) {
    auto own = std::make_unique<Work>(std::move(work));
    pthread_attr_t attributes;
    check(pthread_attr_init(&attributes));
    std::size_t given = 0;
    if (pthread_attr_getstacksize(&attributes, &given) != 0 || given < least_stack)
      pthread_attr_setstacksize(&attributes, least_stack);
    const int error = pthread_create(&thread_, &attributes, &run<Work>, own.get());
    pthread_attr_destroy(&attributes);
    check(error);
    own.release();  // the thread's
  }
  void join() noexcept { pthread_join(thread_, nullptr); }

 private:
  static constexpr std::size_t least_stack = std::size_t{1} << 20;

  template <class Work>
  static void* run(void* work) noexcept {
    (*std::unique_ptr<Work>(static_cast<Work*>(work)))();
    return nullptr;
  }
  static void check(int error) {
    if (error != 0) throw std::system_error(error, std::generic_category());
  }

  pthread_t thread_{};
};

}  // namespace fastopt::threads
#else
#include <thread>

namespace fastopt::threads {

class Thread {
 public:
  template <class Work>
  void start(Work work) {
    thread_ = std::thread(std::move(work));
  }
  void join() { thread_.join(); }

 private:
  std::thread thread_;
};

}  // namespace fastopt::threads
#endif
