#include "core/parallel.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "core/error.h"

namespace wootz {
namespace {

struct Job {
  void (*run)(void*, int64_t);
  void* context;
  int64_t chunks;
  std::atomic<int64_t> next{0};
  int helpers = 0;  // workers inside; guarded by the crew's mutex

  void work() {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < chunks;) run(context, i);
  }
};

class Crew {
 public:
  // Runs the job on the caller and on idle workers. False: the crew is busy with another one.
  bool run(Job& job, int threads) {
    std::unique_lock turn(turn_, std::try_to_lock);
    if (!turn.owns_lock()) return false;
    {
      std::lock_guard guard(mutex_);
      while (workers_ < threads - 1 && hire()) {}
      job_ = &job;
      wanted_ = threads - 1;
      ++round_;
    }
    wake_.notify_all();
    job.work();
    std::unique_lock lock(mutex_);
    job_ = nullptr;
    done_.wait(lock, [&] { return job.helpers == 0; });
    return true;
  }

 private:
  // False where the system gives no more threads: the work is done by those there are.
  bool hire() {
    try {
      std::thread([this] { loop(); }).detach();
    } catch (const std::system_error&) {
      return false;
    }
    ++workers_;
    return true;
  }

  void loop();

  std::mutex turn_, mutex_;
  std::condition_variable wake_, done_;
  Job* job_ = nullptr;
  uint64_t round_ = 0;
  int workers_ = 0, wanted_ = 0;
};

thread_local bool inside = false;

void Crew::loop() {
  inside = true;
  uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return job_ && round_ != seen && wanted_ > 0; });
    seen = round_;
    --wanted_;
    Job* job = job_;
    ++job->helpers;
    lock.unlock();
    job->work();
    lock.lock();
    if (--job->helpers == 0) done_.notify_one();
  }
}

// Threads do not survive fork(): the child starts with a crew of its own. Never destroyed, workers may outlive main.
std::atomic<Crew*> crew{nullptr};

Crew& the_crew() {
  Crew* c = crew.load(std::memory_order_acquire);
  if (c) return *c;
  static std::mutex making;
  std::lock_guard guard(making);
  c = crew.load(std::memory_order_acquire);
  if (!c) {
    c = new Crew;
    crew.store(c, std::memory_order_release);
    static bool registered = pthread_atfork(nullptr, nullptr, [] { crew.store(nullptr); }) == 0;
    static_cast<void>(registered);
  }
  return *c;
}

int default_threads() {
  if (const char* v = std::getenv("WOOTZ_NUM_THREADS")) {
    int n = std::atoi(v);
    if (n > 0) return n;
  }
  int n = static_cast<int>(std::thread::hardware_concurrency());
  return n > 0 ? n : 1;
}

std::atomic<int>& threads() {
  static std::atomic<int> n{default_threads()};
  return n;
}

}  // namespace

int num_threads() { return threads().load(std::memory_order_relaxed); }

void set_num_threads(int n) {
  WOOTZ_CHECK(n > 0, ErrorKind::Value, "set_num_threads expects a positive integer, got ", n);
  WOOTZ_CHECK(n <= 1024, ErrorKind::Value, "set_num_threads: ", n, " threads are more than this library starts");
  threads().store(n, std::memory_order_relaxed);
}

void detail::parallel_chunks(int64_t chunks, void (*run)(void*, int64_t), void* context) {
  Job job{run, context, chunks};
  int n = static_cast<int>(std::min<int64_t>(num_threads(), chunks));
  if (n > 1 && !inside) {
    inside = true;
    bool ran = the_crew().run(job, n);
    inside = false;
    if (ran) return;
  }
  job.work();
}

}  // namespace wootz
