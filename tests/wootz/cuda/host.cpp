// One unit of the kernels' own source, WOOTZ_UNIT, compiled for the host.
#include "host_shim.h"

#include <utility>

namespace shim {

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
                                       "randint", "random_mask", "sgd", "adam", "shaped", "test", "ternary", "copy",
                                       "indexed", "compact", "count_up", "add_at", "add_runs", "sort_keys",
                                       "sort_step", "max_pool", "link_rows"};
bool alone(const char* family) {
  for (const char* name : independent)
    if (std::strcmp(name, family) == 0) return true;
  return false;
}

struct Entry {
  const char* name;
  const char* row;  // family operator input output
  const char* family;
  void (*go)(void**);
  std::string (*signature)();
};
std::vector<Entry>& entries() {
  static std::vector<Entry> all;
  return all;
}
struct Registration {
  Registration(Entry entry) { entries().push_back(entry); }
};

const Entry* find(const char* name) {
  for (const Entry& entry : entries())
    if (std::strcmp(entry.name, name) == 0) return &entry;
  return nullptr;
}

}  // namespace shim

// A declaration, an entry in the list, and the head of the definition.
#define WOOTZ_KERNEL(family, name, in, out, threads, ...)                                                          \
  extern "C" void name##_##in##_##out(__VA_ARGS__);                                                                \
  const shim::Registration registered_##name##_##in##_##out{                                                       \
      {#name "_" #in "_" #out, #family " " #name " " #in " " #out "\n", #family,                                   \
       &shim::Call<&name##_##in##_##out>::go, &shim::Call<&name##_##in##_##out>::signature}};                      \
  extern "C" void name##_##in##_##out(__VA_ARGS__)

#include WOOTZ_UNIT

// The unit's rows, a line each.
extern "C" const char* shim_kernels() {
  static std::string text;
  text.clear();
  for (const shim::Entry& entry : shim::entries()) text += entry.row;
  return text.c_str();
}

// The shape of cuLaunchKernel: null, or what went wrong.
extern "C" const char* shim_launch(const char* name, const unsigned* grid, const unsigned* block, void** arguments,
                                   int reversed) {
  const shim::Entry* entry = shim::find(name);
  try {
    if (entry == nullptr) throw std::runtime_error("no kernel of this name");
    shim::launch(entry->go, grid, block, arguments, reversed != 0, shim::alone(entry->family));
    return nullptr;
  } catch (const std::exception& error) {
    shim::failure = error.what();
    return shim::failure.c_str();
  }
}

// The kernel's parameters in order: "p" for a pointer, else a value's size in bytes. Null for no kernel.
extern "C" const char* shim_signature(const char* name) {
  static thread_local std::string text;
  const shim::Entry* entry = shim::find(name);
  if (entry == nullptr) return nullptr;
  text = entry->signature();
  return text.c_str();
}
