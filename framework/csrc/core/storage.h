#pragma once
// The bytes under tensors: one reference-counted block with its device and version counter.
#include <cstddef>
#include <string>

#include "core/ref.h"

namespace wootz {

enum class DeviceType : uint8_t { Cpu, Cuda };
constexpr int kDeviceTypes = 2;

struct Device {
  DeviceType type = DeviceType::Cpu;
  int8_t index = 0;
  bool operator==(const Device&) const = default;
};

inline const char* name_of(DeviceType t) { return t == DeviceType::Cpu ? "cpu" : "cuda"; }
std::string text(Device d);

struct Batch;

struct Storage : Counted {
  char* data = nullptr;
  size_t bytes = 0;
  Device device;
  bool foreign = false;    // no memory that the core's own kernels may touch: another device's, or a batch's
  bool inference = false;  // allocated in inference mode: the tape refuses it
  std::atomic<uint32_t> version{0};
  // Memory that belongs to someone else is handed back through this; null for the pool's own.
  void (*give_back)(void* owner) = nullptr;
  void* owner = nullptr;
  Ref<Batch> batch;  // of what vmap's function sees: where the examples really are (core/batch.h)

  static Ref<Storage> allocate(size_t bytes);
  static Ref<Storage> borrow(void* data, size_t bytes, Device device, void (*give_back)(void*), void* owner);
  static void destroy(Storage* s);
};

// What one tensor inside vmap stands for: `size` examples, `stride` bytes apart from `start` on in other memory.
struct Batch : Counted {
  Ref<Storage> under;
  int64_t level = 0, size = 0, start = 0, stride = 0;
  static void destroy(Batch* b) { delete b; }
};

// Whether new memory is marked as made in inference mode, on this thread.
bool inference_mode();
void set_inference_mode(bool on);

}  // namespace wootz
