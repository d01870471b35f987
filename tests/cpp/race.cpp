// A race, for `make tsan` to report.
#include <thread>

int main() {
  int shared = 0;
  std::thread other([&shared] { ++shared; });
  ++shared;
  other.join();
  return shared == 2 ? 0 : 0;
}
