#pragma once
// Errors the core raises; the binding turns each kind into the Python exception of the same name.
#include <exception>
#include <string>

namespace wootz {

enum class ErrorKind { Shape, DType, Gradient, Device, Backend, Index, Value, Type, Memory, Overflow, Python };

struct Error : std::exception {
  ErrorKind kind;
  std::string message;
  Error(ErrorKind k, std::string m) : kind(k), message(std::move(m)) {}
  const char* what() const noexcept override { return message.c_str(); }
};

namespace detail {
inline void append(std::string& s, const char* v) { s += v; }
inline void append(std::string& s, const std::string& v) { s += v; }
inline void append(std::string& s, long long v) { s += std::to_string(v); }
inline void append(std::string& s, unsigned long long v) { s += std::to_string(v); }
inline void append(std::string& s, long v) { s += std::to_string(v); }
inline void append(std::string& s, unsigned long v) { s += std::to_string(v); }
inline void append(std::string& s, int v) { s += std::to_string(v); }
inline void append(std::string& s, unsigned v) { s += std::to_string(v); }
}  // namespace detail

template <class... A>
[[noreturn]] __attribute__((noinline, cold)) void fail(ErrorKind kind, const A&... parts) {
  std::string text;
  (detail::append(text, parts), ...);
  throw Error(kind, std::move(text));
}

}  // namespace wootz

// A macro, so that the parts of the message are worked out only when there is one.
#define WOOTZ_CHECK(ok, kind, ...) \
  do {                             \
    if (!(ok)) [[unlikely]]        \
      ::wootz::fail(kind, __VA_ARGS__); \
  } while (false)
