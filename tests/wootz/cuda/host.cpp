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
  template <class T>
  static std::string kind() {
    return std::is_pointer_v<T> ? "p " : std::to_string(sizeof(T)) + " ";
  }
  static std::string signature() { return (kind<Arguments>() + ... + std::string()); }
};

// Families whose threads never wait for each other: they run as plain calls, which is much faster.
constexpr const char* independent[] = {"unary", "binary", "where", "clamp", "cast", "fill", "dropout", "random",
                                       "randint", "random_mask", "sgd", "adam"};
bool alone(const char* family) {
  for (const char* name : independent)
    if (std::strcmp(name, family) == 0) return true;
  return false;
}

struct Entry {
  const char* name;
  const char* family;
  void (*go)(void**);
  std::string (*signature)();
};
#define WOOTZ_ENTRY(family, op, in, out) \
  {#op "_" #in "_" #out, #family, &Call<&op##_##in##_##out>::go, &Call<&op##_##in##_##out>::signature},
const Entry entries[] = {WOOTZ_KERNELS(WOOTZ_ENTRY)};

}  // namespace

// The shape of cuLaunchKernel: null, or what went wrong.
extern "C" const char* shim_launch(const char* name, const unsigned* grid, const unsigned* block, void** arguments,
                                   int reversed) {
  for (const Entry& entry : entries) {
    if (std::strcmp(entry.name, name) != 0) continue;
    try {
      shim::launch(entry.go, grid, block, arguments, reversed != 0, alone(entry.family));
      return nullptr;
    } catch (const std::exception& error) {
      failure = error.what();
      return failure.c_str();
    }
  }
  failure = "no kernel of this name";
  return failure.c_str();
}

// The kernel's parameters in order: "p" for a pointer, else a value's size in bytes. Null for no kernel.
extern "C" const char* shim_signature(const char* name) {
  static thread_local std::string text;
  for (const Entry& entry : entries) {
    if (std::strcmp(entry.name, name) != 0) continue;
    text = entry.signature();
    return text.c_str();
  }
  return nullptr;
}
