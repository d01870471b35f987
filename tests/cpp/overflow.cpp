// A write behind an array, for `make asan` to report.
#include <cstdlib>

int main(int argc, char**) {
  auto* array = static_cast<char*>(std::malloc(8));
  array[7 + argc] = 1;
  const int answer = array[0];
  std::free(array);
  return answer & 0;
}
