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

struct Storage : Counted {
  char* data = nullptr;
  size_t bytes = 0;
  Device device;
  std::atomic<uint32_t> version{0};
  // Memory that belongs to someone else is handed back through this; null for the pool's own.
  void (*give_back)(void* owner) = nullptr;
  void* owner = nullptr;

  static Ref<Storage> allocate(size_t bytes);
  static Ref<Storage> borrow(void* data, size_t bytes, Device device, void (*give_back)(void*), void* owner);
  static void destroy(Storage* s);
};

}  // namespace wootz
