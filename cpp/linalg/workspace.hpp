// Memory of one call: 64-byte aligned, not initialised, freed with its owner. std::bad_alloc when there is none.
#pragma once
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>

namespace fastopt::linalg {

inline constexpr std::size_t alignment = 64;

template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::int64_t count)
      : data_(static_cast<T*>(::operator new(sizeof(T) * static_cast<std::size_t>(count), std::align_val_t{alignment}))) {}
  T* get() const { return data_.get(); }
  T& operator[](std::int64_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete(p, std::align_val_t{alignment}); }
  };
  std::unique_ptr<T, Free> data_;
};

// Asked between phases and panels, on the calling thread; true ends the call with Interrupted.
using Interrupt = bool (*)();
struct Interrupted : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};
inline void poll(Interrupt interrupt) {
  if (interrupt && interrupt()) throw Interrupted{};
}

}  // namespace fastopt::linalg
