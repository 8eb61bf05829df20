#pragma once
// Small fixed-capacity integer lists for shapes, strides and dimension arguments.
#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "core/error.h"

namespace wootz {

constexpr int kMaxDims = 16;

class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<int64_t> v) { for (int64_t x : v) push(x); }
  static Dims filled(int n, int64_t value) { Dims d; for (int i = 0; i < n; ++i) d.push(value); return d; }
  Dims(const Dims& o) : n_(o.n_) { std::copy_n(o.v_, n_, v_); }
  Dims& operator=(const Dims& o) { n_ = o.n_; std::copy_n(o.v_, n_, v_); return *this; }

  int size() const { return n_; }
  bool empty() const { return n_ == 0; }
  int64_t& operator[](int i) { return v_[i]; }
  int64_t operator[](int i) const { return v_[i]; }
  int64_t back() const { return v_[n_ - 1]; }
  int64_t* begin() { return v_; }
  int64_t* end() { return v_ + n_; }
  const int64_t* begin() const { return v_; }
  const int64_t* end() const { return v_ + n_; }
  void push(int64_t x) {
    WOOTZ_CHECK(n_ < kMaxDims, ErrorKind::Shape, "tensors have at most ", kMaxDims, " dimensions");
    v_[n_++] = x;
  }
  void pop() { --n_; }
  void insert(int at, int64_t x) {
    push(0);
    for (int i = n_ - 1; i > at; --i) v_[i] = v_[i - 1];
    v_[at] = x;
  }
  void erase(int at) {
    for (int i = at; i + 1 < n_; ++i) v_[i] = v_[i + 1];
    --n_;
  }
  bool contains(int64_t x) const { return std::find(begin(), end(), x) != end(); }
  bool operator==(const Dims& o) const { return n_ == o.n_ && std::equal(begin(), end(), o.begin()); }

 private:
  int n_ = 0;
  int64_t v_[kMaxDims];
};

// "[2, 3]", as error messages print it.
std::string text(const Dims& d);
// Product of the extents; refuses a negative extent and a product that does not fit.
int64_t count(const Dims& shape);
// Row-major strides, in elements.
Dims contiguous_strides(const Dims& shape);
bool is_contiguous(const Dims& shape, const Dims& strides);
// One past the last element that the geometry touches.
int64_t extent(const Dims& shape, const Dims& strides, int64_t offset);
// NumPy broadcasting of two shapes.
Dims broadcast(const Dims& a, const Dims& b);
bool expandable(const Dims& from, const Dims& to);
// A dimension in [-n, n) as one in [0, n); 0-d tensors accept -1 and 0.
int wrap_dim(int64_t dim, int n);
// Each dimension wrapped; a repeated one is refused. No dimensions given means all of them.
Dims wrap_dims(const Dims& dims, int n);

}  // namespace wootz
