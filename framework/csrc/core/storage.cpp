#include "core/storage.h"

#include <new>

#include "core/pool.h"

namespace wootz {

// The header lives in the block it describes: one visit to the allocator a tensor's memory.
constexpr size_t kHeader = 64;
static_assert(sizeof(Storage) <= kHeader);

namespace {
// How many threads are in inference mode: while none is, an allocation does not ask its own thread.
std::atomic<int> inferring{0};
thread_local bool inference = false;
}  // namespace

bool inference_mode() { return inferring.load(std::memory_order_relaxed) > 0 && inference; }
void set_inference_mode(bool on) {
  if (on != inference) inferring.fetch_add(on ? 1 : -1, std::memory_order_relaxed);
  inference = on;
}

std::string text(Device d) {
  return d.type == DeviceType::Cpu ? "cpu" : std::string(name_of(d.type)) + ":" + std::to_string(d.index);
}

Ref<Storage> Storage::allocate(size_t bytes) {
  auto* block = static_cast<char*>(pool::allocate(kHeader + bytes));
  auto* s = new (block) Storage;
  s->data = block + kHeader;
  s->bytes = bytes;
  s->inference = inference_mode();
  return Ref<Storage>::adopt(s);
}

Ref<Storage> Storage::borrow(void* data, size_t bytes, Device device, void (*give_back)(void*), void* owner) {
  auto* s = new (pool::allocate(kHeader)) Storage;
  s->data = static_cast<char*>(data);
  s->bytes = bytes;
  s->device = device;
  s->foreign = device.type != DeviceType::Cpu;
  s->give_back = give_back;
  s->owner = owner;
  return Ref<Storage>::adopt(s);
}

void Storage::destroy(Storage* s) {
  size_t block = kHeader + (s->give_back ? 0 : s->bytes);
  if (s->give_back) s->give_back(s->owner);
  s->~Storage();
  pool::release(s, block);
}

}  // namespace wootz
