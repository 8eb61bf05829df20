// The kernels' own source, compiled for the host.
#include "host_shim.h"

#include "kernels.cu"

#include <utility>

namespace {

thread_local std::string failure;

template <auto Kernel>
struct Call;
template <class... Arguments, void (*Kernel)(Arguments...)>
struct Call<Kernel> {
  template <std::size_t... I>
  static void unpack([[maybe_unused]] void** arguments, std::index_sequence<I...>) {
    Kernel(*static_cast<std::remove_const_t<Arguments>*>(arguments[I])...);
  }
  static void go(void** arguments) { unpack(arguments, std::index_sequence_for<Arguments...>{}); }
};

struct Entry {
  const char* name;
  void (*go)(void**);
};
#define WOOTZ_ENTRY(family, op, in, out) {#op "_" #in "_" #out, &Call<&op##_##in##_##out>::go},
const Entry entries[] = {WOOTZ_KERNELS(WOOTZ_ENTRY)};

}  // namespace

// The shape of cuLaunchKernel: null, or what went wrong.
extern "C" const char* shim_launch(const char* name, const unsigned* grid, const unsigned* block, void** arguments,
                                   int reversed) {
  for (const Entry& entry : entries) {
    if (std::strcmp(entry.name, name) != 0) continue;
    try {
      shim::launch(entry.go, grid, block, arguments, reversed != 0);
      return nullptr;
    } catch (const std::exception& error) {
      failure = error.what();
      return failure.c_str();
    }
  }
  failure = "no kernel of this name";
  return failure.c_str();
}
