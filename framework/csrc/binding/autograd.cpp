// Module functions of the tape: backward, grad, grad mode, hooks, and nodes whose derivative is a Python function.
#include "binding/arguments.h"
#include "core/engine.h"

namespace wootz::binding {
namespace {

struct PyHook final : Hook {
  PyObject* function;
  explicit PyHook(PyObject* f) : function(Object::borrow(f).release()) {}
  ~PyHook() override {
    if (!Py_IsInitialized()) return;
    Locked gil;
    Py_DECREF(function);
  }
  Tensor call(const Tensor& grad) override {
    Locked gil;
    Object g(wrap(grad));
    Object r(must(PyObject_CallFunctionObjArgs(function, g.get(), nullptr)));
    if (r.get() == Py_None) return Tensor();
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
    Object args(must(PyTuple_New(outputs())));
    for (uint32_t i = 0; i < outputs(); ++i) PyTuple_SetItem(args.get(), i, wrap(grads[i]));
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

PyObject* py_grad_enabled(PyObject*, PyObject*) { return PyBool_FromLong(grad_enabled()); }
PyObject* py_set_grad_enabled(PyObject*, PyObject* on) {
  int v = PyObject_IsTrue(on);
  if (v < 0) return nullptr;
  bool before = grad_enabled();
  set_grad_enabled(v != 0);
  return PyBool_FromLong(before);
}

// Hooks are named by address, so that a handle can take its own away again.
PyObject* add_hook(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *function;
    if (!PyArg_ParseTuple(args, "OO", &o, &function)) python_error();
    WOOTZ_CHECK(is_tensor(o), ErrorKind::Type, "register_hook is for tensors");
    Tensor t = tensor_of(o);
    WOOTZ_CHECK(t.requires_grad(), ErrorKind::Gradient, "cannot register a hook on a tensor that doesn't require gradient");
    Edge e = edge_of(t);
    Ref<Hook> hook = Ref<Hook>::adopt(new PyHook(function));
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

// Records outputs as made from inputs by something whose derivative is `function`.
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
      WOOTZ_CHECK(out[i].is_leaf() && !out[i]->requires_grad, ErrorKind::Gradient, name, ": output ", i, " has a history of its own");
      set_history(out[i], owner, static_cast<uint32_t>(i));
    }
    return Object::borrow(Py_None).release();
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
    {"is_grad_enabled", py_grad_enabled, METH_NOARGS, "Whether ops are recorded on this thread."},
    {"set_grad_enabled", py_set_grad_enabled, METH_O, "Switches recording on this thread; returns what it was."},
    {"add_hook", add_hook, METH_VARARGS, "Calls a function with the tensor's gradient during backward; returns its key."},
    {"remove_hook", remove_hook, METH_VARARGS, "Takes a hook away by its key."},
    {"record", record, METH_VARARGS, "(name, backward, inputs, outputs): puts a Python function on the tape."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace wootz::binding
