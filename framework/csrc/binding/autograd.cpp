// Module functions of the tape: backward, grad, hooks, and nodes whose derivative is a Python function.
#include "binding/arguments.h"

#include <unordered_set>

#include "core/engine.h"

namespace wootz::binding {
namespace {

struct PyHook final : Hook {
  PyObject* function;
  PyHook(PyObject* f, bool accumulated) : function(Object::borrow(f).release()) { after = accumulated; }
  ~PyHook() override {
    if (!Py_IsInitialized()) return;
    Locked gil;
    Py_DECREF(function);
  }
  Tensor call(const Tensor& grad) override {
    Locked gil;
    Object g(wrap(grad));
    Object r(must(PyObject_CallFunctionObjArgs(function, g.get(), nullptr)));
    if (r.get() == Py_None || after) return Tensor();
    WOOTZ_CHECK(is_tensor(r.get()), ErrorKind::Type, "hooks must return None or a Tensor");
    return tensor_of(r.get());
  }
};

// A node whose derivative is a Python callable: gradients of the outputs in, gradients of the inputs out.
struct PyNode final : ListNode {
  std::string title;
  PyObject* function;
  PyNode(std::string name, PyObject* f) : title(std::move(name)), function(Object::borrow(f).release()) {}
  ~PyNode() override { drop(); }
  const char* name() const override { return title.c_str(); }

  void apply(const Tensor* grads, Tensor* out) override {
    WOOTZ_CHECK(function, ErrorKind::Gradient, "Trying to backward through the graph a second time (node ", title,
                "), but its saved values were freed. Specify retain_graph=True on the first backward if you need this");
    Locked gil;
    // The node itself first: outputs that the function saved get their history back from it.
    Object args(must(PyTuple_New(outputs() + 1)));
    PyTuple_SetItem(args.get(), 0, wrap_node(Ref<Node>::share(this)));
    for (uint32_t i = 0; i < outputs(); ++i) PyTuple_SetItem(args.get(), i + 1, wrap(grads[i]));
    Object result(must(PyObject_CallObject(function, args.get())));
    WOOTZ_CHECK(PyTuple_Check(result.get()) && PyTuple_Size(result.get()) == static_cast<Py_ssize_t>(edge_count), ErrorKind::Gradient,
                title, ": backward must return a tuple of ", edge_count, " gradients");
    for (uint32_t i = 0; i < edge_count; ++i) {
      PyObject* g = PyTuple_GetItem(result.get(), i);
      WOOTZ_CHECK(g == Py_None || is_tensor(g), ErrorKind::Type, title, ": backward returned something that is neither None nor a Tensor");
      if (g != Py_None && wants(i)) out[i] = tensor_of(g);
    }
  }

  void release_saved() override { drop(); }

 private:
  void drop() {
    if (!function || !Py_IsInitialized()) return;
    Locked gil;
    PyObject* f = std::exchange(function, nullptr);
    Py_DECREF(f);
  }
};

// The Python view of a tape node.
struct NodeObject {
  PyObject_HEAD
  Node* node;
};
PyTypeObject* node_type;
Node* node_of(PyObject* self) { return reinterpret_cast<NodeObject*>(self)->node; }

void node_destroy(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Ref<Node>::release(node_of(self));
  PyObject_Free(self);
  Py_DECREF(reinterpret_cast<PyObject*>(type));
}
PyObject* node_repr(PyObject* self) { return PyUnicode_FromFormat("<%s backward>", node_of(self)->name()); }
PyObject* node_name(PyObject* self, PyObject*) { return PyUnicode_FromString(node_of(self)->name()); }
Py_hash_t node_hash(PyObject* self) { return static_cast<Py_hash_t>(reinterpret_cast<uintptr_t>(node_of(self)) >> 4); }
PyObject* node_compare(PyObject* a, PyObject* b, int op) {
  if ((op != Py_EQ && op != Py_NE) || Py_TYPE(b) != node_type) return Object::borrow(Py_NotImplemented).release();
  return PyBool_FromLong((node_of(a) == node_of(b)) == (op == Py_EQ));
}

// ((node or leaf tensor or None, output index), ...) for each input.
PyObject* node_next(PyObject* self, void*) {
  return guarded([&] {
    Node* n = node_of(self);
    Object out(must(PyTuple_New(n->edge_count)));
    for (uint32_t i = 0; i < n->edge_count; ++i) {
      const Edge& e = n->edges[i];
      Object to(e.leaf ? wrap(Tensor(e.leaf)) : wrap_node(e.node));
      PyTuple_SetItem(out.get(), i, must(Py_BuildValue("(OI)", to.get(), e.slot)));
    }
    return out.release();
  });
}

TensorList tensors(PyObject* o, const char* what) {
  static const Param params[] = {{"tensors", true, false}};
  Function f{what, params, 1, -1};
  return read::tensor_list(o, {&f, 0});
}

TensorList gradients(PyObject* o, size_t n) {
  if (o == Py_None) return TensorList(n);
  static const Param params[] = {{"grad_tensors", true, false}};
  static const Function f{"backward", params, 1, -1};
  TensorList out = read::optional_tensor_list(o, {&f, 0});
  WOOTZ_CHECK(out.size() == n, ErrorKind::Value, "got ", n, " tensors and ", out.size(), " gradients");
  return out;
}

PyObject* run_backward(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *roots, *grads, *inputs;
    int retain, create;
    if (!PyArg_ParseTuple(args, "OOOpp", &roots, &grads, &inputs, &retain, &create)) python_error();
    TensorList r = tensors(roots, "backward"), g = gradients(grads, r.size());
    TensorList in = inputs == Py_None ? TensorList() : tensors(inputs, "backward");
    WOOTZ_CHECK(inputs == Py_None || !in.empty(), ErrorKind::Value, "'inputs' argument to backward() cannot be empty.");
    {
      Unlocked unlocked(true);
      backward(r, g, in, {retain != 0, create != 0});
    }
    return Object::borrow(Py_None).release();
  });
}

PyObject* run_gradient(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *roots, *grads, *inputs;
    int retain, create;
    if (!PyArg_ParseTuple(args, "OOOpp", &roots, &grads, &inputs, &retain, &create)) python_error();
    TensorList r = tensors(roots, "grad"), g = gradients(grads, r.size()), in = tensors(inputs, "grad"), out;
    {
      Unlocked unlocked(true);
      out = gradient(r, g, in, {retain != 0, create != 0});
    }
    return wrap_list(out);
  });
}

// Hooks are named by address, so that a handle can take its own away again.
PyObject* add_hook(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *function;
    int after = 0;
    if (!PyArg_ParseTuple(args, "OO|p", &o, &function, &after)) python_error();
    WOOTZ_CHECK(is_tensor(o), ErrorKind::Type, "register_hook is for tensors");
    WOOTZ_CHECK(PyCallable_Check(function), ErrorKind::Type, "a hook must be callable");
    Tensor t = tensor_of(o);
    WOOTZ_CHECK(t.requires_grad(), ErrorKind::Gradient, "cannot register a hook on a tensor that doesn't require gradient");
    WOOTZ_CHECK(!after || t.is_leaf(), ErrorKind::Gradient, "post accumulate grad hooks cannot be registered on non-leaf tensors");
    Edge e = edge_of(t);
    Ref<Hook> hook = Ref<Hook>::adopt(new PyHook(function, after != 0));
    PyObject* key = PyLong_FromVoidPtr(hook.get());
    if (e.node) e.node->hooks.push_back({e.slot, hook});
    else t->hooks.push_back(hook);
    return key;
  });
}

PyObject* remove_hook(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *key;
    if (!PyArg_ParseTuple(args, "OO", &o, &key)) python_error();
    void* p = PyLong_AsVoidPtr(key);
    if (!p && PyErr_Occurred()) python_error();
    Tensor t = tensor_of(o);
    std::erase_if(t->hooks, [p](const Ref<Hook>& h) { return h.get() == p; });
    if (t->node) std::erase_if(t->node->hooks, [p](const auto& h) { return h.second.get() == p; });
    return Object::borrow(Py_None).release();
  });
}

// An input that a function wrote to is its output: the tensor keeps its memory and gets the new history.
void take_over(const Tensor& t, const Ref<Node>& node, uint32_t slot, const char* name) {
  check_inplace(t, name);
  Tensor written = t.detached();
  set_history(written, node, slot);
  rebase(t, written);
  t.bump();
}

// Records outputs as made from inputs by something whose derivative is `function`(node, *gradients).
PyObject* record(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    const char* name;
    PyObject *function, *inputs, *outputs;
    if (!PyArg_ParseTuple(args, "sOOO", &name, &function, &inputs, &outputs)) python_error();
    TensorList in = tensors(inputs, name), out = tensors(outputs, name);
    WOOTZ_CHECK(!out.empty(), ErrorKind::Value, name, ": a function must have an output");
    if (!recording(in)) return Object::borrow(Py_None).release();
    auto* node = new PyNode(name, function);
    Ref<Node> owner = Ref<Node>::adopt(node);
    node->resize(in.size());
    for (size_t i = 0; i < in.size(); ++i) node->edges[i] = edge_of(in[i]);
    for (size_t i = 0; i < out.size(); ++i) {
      auto slot = static_cast<uint32_t>(i);
      bool input = std::any_of(in.begin(), in.end(), [&](const Tensor& t) { return t.get() == out[i].get(); });
      if (input) {
        take_over(out[i], owner, slot, name);
        continue;
      }
      WOOTZ_CHECK(out[i].is_leaf() && !out[i]->requires_grad, ErrorKind::Gradient, name, ": output ", i, " has a history of its own");
      set_history(out[i], owner, slot);
    }
    return Object::borrow(Py_None).release();
  });
}

// The values of an output that a function saved, in the output's place in the tape.
PyObject* attach(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *value, *node;
    unsigned slot;
    if (!PyArg_ParseTuple(args, "OOI", &value, &node, &slot)) python_error();
    WOOTZ_CHECK(is_tensor(value) && Py_TYPE(node) == node_type, ErrorKind::Type, "attach() takes a Tensor, a Node and an output's number");
    WOOTZ_CHECK(slot < node_of(node)->outputs(), ErrorKind::Value, "attach(): the node has no output ", slot);
    Tensor t = tensor_of(value).detached();
    t->node = Ref<Node>::share(node_of(node));
    t->slot = slot;
    return wrap(t);
  });
}

// Whether any leaf lies below the tensors: gradients of theirs could go somewhere.
PyObject* reaches_leaf(PyObject*, PyObject* roots) {
  return guarded([&] {
    std::vector<Node*> waiting;
    std::unordered_set<Node*> seen;
    bool found = false;
    auto visit = [&](const Edge& e) {
      found = found || e.leaf;
      if (e.node && seen.insert(e.node.get()).second) waiting.push_back(e.node.get());
    };
    for (const Tensor& t : tensors(roots, "reaches_leaf")) visit(edge_of(t));
    while (!waiting.empty() && !found) {
      Node* n = waiting.back();
      waiting.pop_back();
      for (uint32_t i = 0; i < n->edge_count; ++i) visit(n->edges[i]);
    }
    return PyBool_FromLong(found);
  });
}

PyObject* detach_inplace(PyObject*, PyObject* o) {
  return guarded([&] {
    WOOTZ_CHECK(is_tensor(o), ErrorKind::Type, "detach_() is for tensors");
    Tensor t = tensor_of(o);
    WOOTZ_CHECK(!t->base, ErrorKind::Gradient, "Can't detach views in-place. Use detach() instead.");
    t->node = nullptr;
    t->requires_grad = false;
    ++t->epoch;  // its views look at a base without history now
    return Object::borrow(o).release();
  });
}

PyObject* py_become(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *view;
    const char* op;
    if (!PyArg_ParseTuple(args, "OOs", &o, &view, &op)) python_error();
    WOOTZ_CHECK(is_tensor(o) && is_tensor(view), ErrorKind::Type, op, "() is for tensors");
    become(tensor_of(o), tensor_of(view), op);
    return Object::borrow(o).release();
  });
}

}  // namespace

PyTypeObject* make_node_type(PyObject* module) {
  static PyGetSetDef getters[] = {{"next_functions", node_next, nullptr, "Where its gradients go.", nullptr},
                                  {nullptr, nullptr, nullptr, nullptr, nullptr}};
  static PyMethodDef methods[] = {{"name", node_name, METH_NOARGS, "The op that made it."}, {nullptr, nullptr, 0, nullptr}};
  PyType_Slot slots[] = {{Py_tp_dealloc, slot(node_destroy)}, {Py_tp_repr, slot(node_repr)}, {Py_tp_getset, getters},
                         {Py_tp_methods, methods}, {Py_tp_hash, slot(node_hash)}, {Py_tp_richcompare, slot(node_compare)}, {0, nullptr}};
  PyType_Spec spec{"wootz.Node", sizeof(NodeObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  node_type = reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr));
  return node_type;
}

PyObject* wrap_node(const Ref<Node>& node) {
  if (!node) return Object::borrow(Py_None).release();
  PyObject* o = must(PyType_GenericAlloc(node_type, 0));
  reinterpret_cast<NodeObject*>(o)->node = Ref<Node>(node).leak();
  return o;
}

PyMethodDef autograd_functions[] = {
    {"run_backward", run_backward, METH_VARARGS, "(roots, gradients or None, inputs or None, retain_graph, create_graph)"},
    {"run_gradient", run_gradient, METH_VARARGS, "(roots, gradients or None, inputs, retain_graph, create_graph) -> gradients"},
    {"add_hook", add_hook, METH_VARARGS, "(tensor, function, after=False): calls it with the gradient in backward, or with the leaf after it."},
    {"remove_hook", remove_hook, METH_VARARGS, "Takes a hook away by its key."},
    {"record", record, METH_VARARGS, "(name, backward, inputs, outputs): puts a Python function on the tape."},
    {"attach", attach, METH_VARARGS, "(value, node, slot): a tensor in the place of a node's output."},
    {"reaches_leaf", reaches_leaf, METH_O, "Whether gradients of these tensors would reach a leaf."},
    {"become", py_become, METH_VARARGS, "(tensor, view of it, name): the tensor takes on the view's geometry and history."},
    {"detach_", detach_inplace, METH_O, "Takes a tensor's history away."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace wootz::binding
