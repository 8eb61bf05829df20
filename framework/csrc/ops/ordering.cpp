// Order along a dimension: whole rows by radix sort, the first k by keeping the least so far, one rank by narrowing its key
// down. Elements are compared as unsigned keys; equal keys come in the order of their places, so that every sort is stable.
#include <algorithm>
#include <bit>
#include <limits>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "forward.h"
#include "ops/rules.h"

namespace wootz::forward {
namespace {

template <class T> using KeyOf = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

// Both zeros are equal, and NaN, of either sign, is greater than infinity.
template <class T> KeyOf<T> key_of(T x) {
  using Key = KeyOf<T>;
  constexpr Key top = Key(1) << (8 * sizeof(Key) - 1);
  if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) return key_of(static_cast<float>(x));
  else if constexpr (std::is_floating_point_v<T>) {
    Key bits = std::bit_cast<Key>(x + T(0)), key = bits & top ? ~bits : bits | top;
    return x != x ? ~Key(0) : key;
  } else return static_cast<Key>(x) ^ (std::is_signed_v<T> ? top : 0);
}

// The keys of n elements; `flip` turns the order about.
template <class Key> using Keys = void (*)(const char* x, int64_t n, Key flip, Key* out);
template <class T> void keys_of(const char* x, int64_t n, KeyOf<T> flip, KeyOf<T>* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = key_of(reinterpret_cast<const T*>(x)[i]) ^ flip;
}

// A key and its place. In rows that are not too long, short keys share a word with theirs.
struct Near {
  using Key = uint32_t;
  uint64_t word;
  static Near of(Key key, int64_t place) { return {uint64_t(key) << 32 | static_cast<uint32_t>(place)}; }
  Key key() const { return static_cast<Key>(word >> 32); }
  int64_t place() const { return static_cast<uint32_t>(word); }
  bool operator<(const Near& o) const { return word < o.word; }
};
template <class K> struct Far {
  using Key = K;
  K first;
  int64_t second;
  static Far of(K key, int64_t place) { return {key, place}; }
  K key() const { return first; }
  int64_t place() const { return second; }
  bool operator<(const Far& o) const { return first != o.first ? first < o.first : second < o.second; }
};

constexpr int64_t kBlock = 32;
constexpr uint32_t kMost = std::numeric_limits<uint32_t>::max();

// f(place, key) for the elements from `begin` on that `wanted` may want by their keys, which sees a block of them first.
template <class Key, class W, class F>
void each_key(Keys<Key> keys_of, const char* x, int64_t size, int64_t begin, int64_t end, Key flip, W wanted, F f) {
  Key keys[kBlock];
  for (int64_t i = begin; i < end; i += kBlock) {
    int64_t n = std::min(kBlock, end - i);
    keys_of(x + i * size, n, flip, keys);
    if (!wanted(keys, n)) continue;
    for (int64_t j = 0; j < n; ++j) f(i + j, keys[j]);
  }
}

template <class Key> constexpr auto all = [](const Key*, int64_t) { return true; };

// Sorts n items that are in the order of their places, with room for as many; returns where they then are.
template <class Item> Item* sort_items(Item* items, Item* spare, int64_t n) {
  constexpr int digits = sizeof(typename Item::Key);
  if (n < 4 * kBlock) {
    std::sort(items, items + n);
    return items;
  }
  int64_t counts[digits][256] = {};
  for (int64_t i = 0; i < n; ++i)
    for (int d = 0; d < digits; ++d) ++counts[d][items[i].key() >> 8 * d & 255];
  for (int d = 0; d < digits; ++d) {
    int64_t* next = counts[d];
    if (next[items[0].key() >> 8 * d & 255] == n) continue;
    for (int64_t b = 0, start = 0; b < 256; ++b) start += std::exchange(next[b], start);
    for (int64_t i = 0; i < n; ++i) spare[next[items[i].key() >> 8 * d & 255]++] = items[i];
    std::swap(items, spare);
  }
  return items;
}

// All places of a row in order; keys are counted from `low`.
template <class Item, class Key>
void sort_row(Keys<Key> keys_of, const char* x, int64_t size, int64_t n, Key flip, Key low, int64_t* out, Item* scratch) {
  each_key(keys_of, x, size, 0, n, flip, all<Key>,
           [&](int64_t i, Key key) { scratch[i] = Item::of(static_cast<typename Item::Key>(key - low), i); });
  const Item* items = sort_items(scratch, scratch + n, n);
  for (int64_t i = 0; i < n; ++i) out[i] = items[i].place();
}

// The places of the k least of n elements, in order: of those met, between k and `room` are kept.
template <class Item>
void least(Keys<typename Item::Key> keys_of, const char* x, int64_t size, int64_t n, int64_t k, typename Item::Key flip, int64_t* out,
           std::vector<Item>& kept) {
  using Key = typename Item::Key;
  auto few = static_cast<size_t>(k), room = 2 * few + 8;
  int64_t first = std::min<int64_t>(n, static_cast<int64_t>(room));
  Key limit = 0;
  auto keep = [&](int64_t i, Key key) { kept.push_back(Item::of(key, i)); };
  auto prune = [&] {
    if (kept.size() <= few) return;
    std::nth_element(kept.begin(), kept.begin() + k - 1, kept.end());
    kept.resize(few);
    limit = kept.back().key();
  };
  kept.clear();
  each_key(keys_of, x, size, 0, first, flip, all<Key>, keep);
  prune();
  auto below = [&](const Key* keys, int64_t count) {
    bool any = false;
    for (int64_t i = 0; i < count; ++i) any |= keys[i] < limit;
    return any;
  };
  each_key(keys_of, x, size, first, n, flip, below, [&](int64_t i, Key key) {
    if (key >= limit) return;  // its place is beyond those of equal keys
    keep(i, key);
    if (kept.size() == room) prune();
  });
  prune();
  std::sort(kept.begin(), kept.end());
  for (size_t i = 0; i < few; ++i) out[i] = kept[i].place();
}

// The places of the first k of each row of n, in order.
template <class Item>
void order_rows(Keys<typename Item::Key> keys_of, const char* x, int64_t size, int64_t rows, int64_t n, int64_t k, bool descending,
                int64_t* out) {
  using Key = typename Item::Key;
  Key flip = descending ? ~Key(0) : 0;
  parallel_for(rows, std::max<int64_t>(1, 8192 / n), [&](int64_t begin, int64_t end) {
    std::vector<Item> kept;
    Tensor scratch = empty({k < n ? 0 : 2 * n * int64_t(sizeof(Item))}, DType::UInt8);
    for (int64_t r = begin; r < end; ++r) {
      const char* row = x + r * n * size;
      int64_t* to = out + r * k;
      if (k < n) {
        least<Item>(keys_of, row, size, n, k, flip, to, kept);
        continue;
      }
      if constexpr (sizeof(Key) == 8) {  // whole numbers are seldom far apart
        Key low = ~Key(0), high = 0;
        each_key(keys_of, row, size, 0, n, flip, all<Key>,
                 [&](int64_t, Key key) { low = std::min(low, key), high = std::max(high, key); });
        if (high - low <= kMost && n <= int64_t(kMost)) {
          sort_row<Near, Key>(keys_of, row, size, n, flip, low, to, reinterpret_cast<Near*>(scratch.bytes()));
          continue;
        }
      }
      sort_row<Item, Key>(keys_of, row, size, n, flip, 0, to, reinterpret_cast<Item*>(scratch.bytes()));
    }
  });
}

// Of n keys, which it moves about, the one of rank k, and its rank among equal ones: digit by digit, from the highest bit
// in which any differ, among those that share the digits before.
template <class Key> std::pair<Key, int64_t> select_key(Key* keys, int64_t n, int64_t k) {
  while (n > 4 * kBlock) {
    Key differ = 0;
    for (int64_t i = 0; i < n; ++i) differ |= keys[i] ^ keys[0];
    if (!differ) return {keys[0], k};
    int shift = std::max(0, static_cast<int>(std::bit_width(differ)) - 8);
    int64_t counts[256] = {}, kept = 0;
    for (int64_t i = 0; i < n; ++i) ++counts[keys[i] >> shift & 255];
    Key digit = 0;
    while (k >= counts[digit]) k -= counts[digit++];
    for (int64_t i = 0; i < n; ++i) {
      Key key = keys[i];
      keys[kept] = key;
      kept += (key >> shift & 255) == digit;
    }
    n = kept;
  }
  std::nth_element(keys, keys + k, keys + n);
  return {keys[k], std::count(keys, keys + k, keys[k])};
}

// The place of the element with that rank among those of a key.
template <class Key> int64_t place_of(Keys<Key> keys_of, const char* x, int64_t size, int64_t n, Key key, int64_t rank) {
  Key block[kBlock];
  for (int64_t i = 0; i < n; i += kBlock) {
    int64_t count = std::min(kBlock, n - i);
    keys_of(x + i * size, count, 0, block);
    int64_t equal = std::count(block, block + count, key);
    for (int64_t j = 0; rank < equal; ++j)
      if (block[j] == key && rank-- == 0) return i + j;
    rank -= equal;
  }
  return n;
}

// k places of each row along a dimension, which f(rows, their length, where k places of each go) finds.
template <class F> Tensor places_along(const char* op, const Tensor& self, int64_t dim, int64_t k, F f) {
  WOOTZ_CHECK(!is_complex(self.dtype()), ErrorKind::DType, op, ": complex numbers have no order, got ", name_of(self.dtype()));
  int d = wrap_dim(dim, self.dim());
  if (self.dim() == 0) return places_along(op, reshape(self, {1}), 0, k, f);
  Tensor x = contiguous(transpose(self, d, -1));
  int64_t n = x.size(-1);
  WOOTZ_CHECK(k >= 0 && k <= n, ErrorKind::Shape, op, ": k=", k, " is not between 0 and the ", n, " elements of dim ", d);
  Dims shape = x.shape();
  shape[self.dim() - 1] = k;
  Tensor out = empty(shape, DType::Int64);
  if (out.numel() != 0) f(x, n, out.data<int64_t>());
  return contiguous(transpose(out, d, -1));
}

// The rank to choose in a row of n elements, of which some are NaN.
using Rank = int64_t (*)(int64_t k, int64_t n, int64_t missing);

template <class Key>
void rank_rows(Keys<Key> keys_of, const char* x, int64_t size, int64_t rows, int64_t n, bool floats, Rank rank, int64_t k, int64_t* out) {
  parallel_for(rows, std::max<int64_t>(1, 8192 / n), [&](int64_t begin, int64_t end) {
    Tensor scratch = empty({n * int64_t(sizeof(Key))}, DType::UInt8);
    auto* keys = reinterpret_cast<Key*>(scratch.bytes());
    for (int64_t r = begin; r < end; ++r) {
      const char* row = x + r * n * size;
      keys_of(row, n, 0, keys);
      int64_t missing = floats ? std::count(keys, keys + n, ~Key(0)) : 0;
      auto [key, among] = select_key(keys, n, rank(k, n, missing));
      out[r] = place_of(keys_of, row, size, n, key, among);
    }
  });
}

Tensor ranked_place(const char* op, const Tensor& self, int64_t dim, Rank rank, int64_t k = 0) {
  Tensor out = places_along(op, self, dim, 1, [&](const Tensor& x, int64_t n, int64_t* to) {
    WOOTZ_CHECK(k >= 0 && k < n, ErrorKind::Shape, op, ": rank ", k, " is not among ", n, " elements");
    visit(x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      if constexpr (std::is_convertible_v<T, float>)
        rank_rows<KeyOf<T>>(keys_of<T>, x.bytes(), int64_t(sizeof(T)), x.numel() / n, n, is_float(x.dtype()), rank, k, to);
    });
  });
  return self.dim() ? out : reshape(out, {});
}

Tensor first_places(const char* op, const Tensor& self, int64_t k, int64_t dim, bool descending) {
  return places_along(op, self, dim, k, [&](const Tensor& x, int64_t n, int64_t* to) {
    visit(x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      if constexpr (std::is_convertible_v<T, float>) {
        using Key = KeyOf<T>;
        using Item = std::conditional_t<sizeof(Key) == 4, Near, Far<Key>>;
        auto run = n <= int64_t(kMost) ? order_rows<Item> : order_rows<Far<Key>>;
        run(keys_of<T>, x.bytes(), int64_t(sizeof(T)), x.numel() / n, n, k, descending, to);
      }
    });
  });
}

// Of a row's places in order, the last of the first longest run of equal elements.
template <class T> int64_t end_of_longest(const T* x, const int64_t* places, int64_t n) {
  int64_t found = 0, longest = 0;
  for (int64_t i = 0, run = 0; i < n; ++i) {
    run = i > 0 && x[places[i]] == x[places[i - 1]] ? run + 1 : 1;
    if (run > longest) longest = run, found = places[i];
  }
  return found;
}

}  // namespace

Tensor order(const Tensor& self, int64_t dim, bool descending) {
  if (self.dim() == 0) return reshape(first_places("sort", self, 1, dim, descending), {});
  return first_places("sort", self, self.size(dim), dim, descending);
}

Tensor top(const Tensor& self, int64_t k, int64_t dim, bool largest) { return first_places("topk", self, k, dim, largest); }

Tensor kth(const Tensor& self, int64_t k, int64_t dim) {
  return ranked_place("kthvalue", self, dim, [](int64_t rank, int64_t, int64_t) { return rank; }, k);
}

// NaN is sorted last: the first of them if any counts, and the middle of those before if not.
Tensor middle(const Tensor& self, int64_t dim, bool skip_nan) {
  Rank any = [](int64_t, int64_t n, int64_t missing) { return missing ? n - missing : (n - 1) / 2; };
  Rank numbers = [](int64_t, int64_t n, int64_t missing) { return std::max<int64_t>(n - missing - 1, 0) / 2; };
  return ranked_place("median", self, dim, skip_nan ? numbers : any);
}

Tensor commonest(const Tensor& self, int64_t dim) {
  Tensor out = places_along("mode", self, dim, 1, [&](const Tensor& x, int64_t n, int64_t* to) {
    Tensor ordered = order(x, -1, false);
    visit(x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const int64_t* places = ordered.data<int64_t>();
      if constexpr (std::is_convertible_v<T, float>)
        parallel_for(x.numel() / n, std::max<int64_t>(1, 32768 / n), [&](int64_t begin, int64_t end) {
          for (int64_t r = begin; r < end; ++r) to[r] = end_of_longest(x.data<T>() + r * n, places + r * n, n);
        });
    });
  });
  return self.dim() ? out : reshape(out, {});
}

Tensor runs(const Tensor& self) {
  WOOTZ_CHECK(self.dim() > 0, ErrorKind::Shape, "runs: expected a tensor with a dimension");
  Tensor x = contiguous(self), differ = empty({x.size(0)}, DType::Bool);
  int64_t n = x.size(0), inner = n ? x.numel() / n : 0;
  if (n == 0) return empty({0}, DType::Int64);
  visit(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T *before = x.data<T>(), *at = before + inner;
    bool* to = differ.data<bool>();
    to[0] = true;
    if (inner == 1)
      for (int64_t i = 1; i < n; ++i) to[i] = !(before[i] == before[i - 1]);
    else
      for (int64_t i = 1; i < n; ++i, before = at, at += inner) to[i] = !std::equal(before, at, at);
  });
  return reshape(nonzero(differ), {-1});
}

namespace {

// How many of n sorted bounds go before each value: those less than it, or (`right`) not greater. Values are looked for
// several at once by halving, as no step of one waits for another's. NaN is greater than all.
template <bool right, class T> void search_row(const T* bounds, int64_t n, const T* x, int64_t count, int64_t* out) {
  constexpr int64_t width = 8;
  auto before = [](T bound, T value) -> int64_t { return right ? bound <= value : bound < value; };
  for (int64_t i = 0; i < count && n > 0; i += width) {
    T value[width];
    int64_t at[width] = {};
    for (int64_t j = 0; j < width; ++j) value[j] = x[std::min(i + j, count - 1)];
    for (int64_t left = n, half; left > 1; left -= half) {
      half = left / 2;
      for (int64_t j = 0; j < width; ++j) at[j] += half & -before(bounds[at[j] + half - 1], value[j]);  // without a branch
    }
    for (int64_t j = 0; j < std::min(width, count - i); ++j) out[i + j] = at[j] + before(bounds[at[j]], value[j]);
  }
  if (n == 0) std::fill(out, out + count, 0);
  if constexpr (std::is_floating_point_v<T>) {
    for (int64_t i = 0; i < count; ++i)
      if (x[i] != x[i]) out[i] = right ? n : std::partition_point(bounds, bounds + n, [](T bound) { return bound == bound; }) - bounds;
  }
}

}  // namespace

Tensor search(const Tensor& self, const Tensor& values, bool right) {
  WOOTZ_CHECK(self.dtype() == values.dtype() && !is_complex(self.dtype()), ErrorKind::DType,
              "searchsorted: expected real numbers of one dtype, got ", name_of(self.dtype()), " and ", name_of(values.dtype()));
  WOOTZ_CHECK(self.dim() > 0, ErrorKind::Shape, "searchsorted: expected a sequence with a dimension");
  Tensor bounds = contiguous(self), x = contiguous(values), out = empty(x.shape(), DType::Int64);
  if (out.numel() == 0) return out;
  int64_t n = bounds.size(-1), width = bounds.dim() == 1 ? x.numel() : x.size(-1);
  WOOTZ_CHECK(bounds.dim() == 1 || bounds.numel() * width == x.numel() * n, ErrorKind::Shape,
              "searchsorted: expected as many rows as ", text(x.shape()), " has, got ", text(bounds.shape()));
  visit(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_arithmetic_v<T>) {
      parallel_for(x.numel(), 2048, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin, row, stop; i < end; i = stop) {
          row = i / width, stop = std::min(end, (row + 1) * width);
          (right ? search_row<true, T> : search_row<false, T>)(bounds.data<T>() + row * n, n, x.data<T>() + i, stop - i,
                                                              out.data<int64_t>() + i);
        }
      });
    }
  });
  return out;
}

}  // namespace wootz::forward
